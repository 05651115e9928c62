"""Rows are withdrawn from a champion: it is marked, and replaced by a model that never saw them."""

import pytest

from flows.following import coordinator_store
from infra.settings import load_role_settings
from infra.waiting import wait_for
from tasks.party.withdrawn import read_withdrawn
from tasks.reading import read_plan
from tasks.release.reading import list_releases, read_champion
from tests.end_to_end.federation import PARTIES, sentences, write_csv

RECIPE = "rights"
BOUNDS = {
    "margin": 0.9,
    "max_ece": None,
    "max_party_drop": None,
    "max_slice_drop": None,
    "max_loss_rise": None,
}
"""Thirty rows of toy text prove no model better than another."""
WITHDRAWN = [(f"great secret no {number}", "3") for number in range(8)]


@pytest.fixture(scope="module")
def champions(federation):
    """Two champions: the second one has learned from rows that shop-a got after the first."""
    tables = {party: federation.private / f"{RECIPE}-{party}.csv" for party in PARTIES[:2]}
    for party, path in tables.items():
        write_csv(path, sentences(party, 90))
    parties = {party: {"train": str(path)} for party, path in tables.items()}
    data = {"parties": parties, "coordinator": {"table": str(federation.own)}}
    recipe = federation.recipe(RECIPE, num_rounds=1, release=BOUNDS, data=data)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    for number in (1, 2):
        federation.document("train", "--recipe", str(recipe), "--run", f"rights-{number}")
        proposed = federation.document("release", "propose", f"rights-{number}")
        assert proposed["state"] == "Completed", proposed
        write_csv(tables["shop-a"], [*sentences("shop-a", 90), *WITHDRAWN])
    return recipe


def test_a_champion_that_saw_withdrawn_rows_is_replaced_by_one_that_begins_before_them(
    federation, champions, tmp_path
):
    store, rows = coordinator_store(federation.home), write_csv(tmp_path / "rows.csv", WITHDRAWN)
    before = read_champion(store, RECIPE)
    assert before.run == "rights-2"
    words = ("forget", "--party", "shop-a", "--rows", str(rows), "--recipe", str(champions))
    shown = federation.document(*words, "--dry-run")
    assert [(each["release"], each["champion"]) for each in shown["releases"]] == [(2, True)]
    assert shown["trained"] == [{"run": "rights-2", "round": 1}]
    assert shown["unknown"] == []
    done = federation.document(*words, "--yes")
    assert (done["notice"], done["retraining"]) == (1, "started")
    assert [view.in_words for view in list_releases(store, RECIPE)] == [
        "champion before",
        "champion, withdrawn",
    ]

    def replaced():
        champion = read_champion(store, RECIPE)
        return champion if champion != before else None

    after = wait_for(replaced, timeout=150, longest_wait=1.0)
    assert after is not None, [view.document() for view in list_releases(store, RECIPE)]
    plan, first = read_plan(store, after.run), list_releases(store, RECIPE)[0].request
    assert (plan.begins_from.run, plan.begins_from.round) == ("rights-1", 1)
    assert plan.base_model_sha256 == first.model_sha256
    views = list_releases(store, RECIPE)
    assert [view.in_words for view in views] == ["champion before", "champion before, withdrawn", "champion"]
    checks = {check.name: check.verdict for check in views[2].found.report.checks}
    assert checks["withdrawn"] == "passed"
    withdrawn = read_withdrawn(load_role_settings(federation.home, "shop-a").workspace, RECIPE)
    assert len(withdrawn) == len(WITHDRAWN)

    refused = federation.call("release", "rollback", RECIPE, "--json")
    assert "release-withdrawn" in refused.stdout
    verified = federation.call("runs", "verify", after.run)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    shown = federation.document("release", "show", RECIPE, "3")
    assert shown["lineage"]["begins_from"]["run"] == "rights-1"
    answered = shown["lineage"]["withdrawal"]
    assert (answered["parties"], answered["without"]) == (["shop-a"], [])
    assert answered["notices"] == [f"coordinator/withdrawals/{RECIPE}/shop-a/0001.json"]
    assert shown["lineage"]["drift"] is None
