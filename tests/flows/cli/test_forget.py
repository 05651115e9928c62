"""`fedcart forget` on a machine that plays all roles, whose stack is down but for its store."""

import json

import pytest

from infra.layout import champion_key, known_withdrawal_key, release_key, round_key, withdrawal_key
from infra.settings import load_role_settings
from tasks.party.leaving import has_left
from tasks.party.withdrawn import read_withdrawn, withdrawn_file
from tasks.release.promoting import promote
from tasks.release.requesting import open_release
from tests.flows.cli.in_process import call_main
from tests.store_alone import store_alone
from tests.tasks.release.released_models import reported, undocumented
from tests.tasks.verifying.finished_run import PARTIES, FinishedRun


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), PARTIES) as folder:
        yield folder


@pytest.fixture(scope="module")
def champion(home):
    """The champion of a recipe, of whose rows no party has kept anything."""
    run = FinishedRun(home, "rights-1", seed=1, changes={"name": "rights"})
    run.play(1, {"shop-a": 1, "shop-b": 1}, {"shop-c": "contract-failed"}, accuracy=0.7)
    run.play(2, dict.fromkeys(PARTIES, 2), accuracy=0.75)
    run.close()
    facts = {"round_number": 2, "model_sha256": run.head.best_model_sha256}
    reported(run.store, open_release(run.store, "rights", "t", run=run.run, **facts))
    promote(run.store, "rights", 1, "ann", undocumented)
    parties = "".join(f"    {party}: {{train: own}}\n" for party in PARTIES)
    (home / "rights.yaml").write_text(
        f"name: rights\ndata:\n  parties:\n{parties}  coordinator: {{table: own}}\n"
    )
    (home / "rows.csv").write_text("id,text\n1,so bad\n2,<b>fine</b>\n3,so  bad\n")
    return run


@pytest.fixture
def fedcart(home, champion, monkeypatch, capsys):
    def run(*words):
        recipe = ["--recipe", str(home / "rights.yaml")] if words[0] == "forget" else []
        return call_main(monkeypatch, capsys, [*words, *recipe], FEDCART_HOME=str(home))

    return run


def test_what_would_be_marked_is_shown_and_nothing_changed(fedcart, home, champion):
    rows = ("--party", "shop-c", "--rows", str(home / "rows.csv"))
    shown = fedcart("forget", *rows, "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "1 update of shop-c learned from 2 rows, in rights-1." in shown.stdout
    assert "Of the rows behind 1 of these updates nothing is kept any more" in shown.stdout
    document = json.loads(fedcart("forget", *rows, "--dry-run", "--json").stdout)
    assert document["releases"] == [{"release": 1, "run": "rights-1", "from_round": 2, "champion": True}]
    assert document["unknown"] == [{"run": "rights-1", "round": 2}]
    assert (document["rows"], document["dry_run"]) == (2, True)
    assert "bad" not in json.dumps(document)
    nobody = fedcart("forget", *rows)
    assert (nobody.returncode, "confirmation-missing" in nobody.stderr) == (2, True)
    assert not champion.store.exists(withdrawal_key("shop-c", "rights", 1))
    assert not read_withdrawn(load_role_settings(home, "shop-c").workspace, "rights")


def test_a_damaged_run_keeps_nobody_from_withdrawing(fedcart, champion):
    place = round_key("rights-1", 1, "decision")
    data = champion.store.read(place)
    champion.store.put_blob(place, b"{}")
    shown = fedcart("forget", "--party", "shop-c", "--dry-run")
    champion.store.put_blob(place, data)
    assert shown.returncode == 0
    assert "The decision of round 1 of run rights-1 was changed" in " ".join(shown.stderr.split())


def test_rows_are_withdrawn_and_the_champion_is_marked(fedcart, home, champion):
    rows = ("--party", "shop-c", "--rows", str(home / "rows.csv"))
    done = fedcart("forget", *rows, "--yes")
    assert done.returncode == 0, done.stderr
    assert "2 rows more are left out of every training of rights at shop-c from now on." in done.stdout
    assert "Notice 1 tells the coordinator of it." in done.stdout
    assert "the retraining waits: The coordinator's worker" in done.stderr
    assert champion.store.exists(known_withdrawal_key("shop-c", "rights", 1))
    again = json.loads(fedcart("forget", *rows, "--yes", "--json").stdout)
    assert (again["notice"], again["made"], again["new_rows"]) == (1, False, 0)
    assert (again["retraining"], again["waits_for"]) == ("waits", "worker-down")

    listed = fedcart("release", "list", "rights")
    assert "champion, withdrawn" in " ".join(listed.stdout.split())
    assert "the champion of rights, release 1, learned, from round 2 of rights-1 on" in listed.stderr
    state = json.loads(fedcart("status", "--json").stdout)
    assert [told[:43] for told in state["withdrawn"]] == ["the champion of rights, release 1, learned,"]
    assert "the champion of rights, release 1, learned" in fedcart("status").stderr
    shown = fedcart("release", "show", "rights", "1")
    assert "champion, withdrawn." in shown.stdout
    assert "its model learned, from round 2 of rights-1 on, from rows that shop-c withdrew." in shown.stderr
    (view,) = json.loads(fedcart("release", "list", "rights", "--json").stdout)
    assert (view["standing"], view["withdrawn"][0]["party"]) == ("champion", "shop-c")


def test_a_party_leaves(fedcart, home):
    done = fedcart("forget", "--party", "shop-b", "--yes")
    assert done.returncode == 0, done.stderr
    assert "2 updates of shop-b learned from the data of shop-b, in rights-1." in done.stdout
    assert "shop-b has left rights: its sessions join no run of it any more." in done.stdout
    assert has_left(load_role_settings(home, "shop-b").workspace, "rights")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("id\n1\n", "table-column-missing"),
        ("id,text\n", "table-empty"),
        ("id,text\n1, \n", "table-empty"),
        ("id,text\n1,<br>\n", "table-empty"),
        (None, "table-missing"),
    ],
)
def test_a_file_without_rows_is_one_sentence(fedcart, home, tmp_path, content, code):
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_text(content)
    refused = fedcart("forget", "--party", "shop-a", "--rows", str(path), "--yes", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"]["code"] == code


def test_an_unknown_party_and_one_without_a_key_are_refused(fedcart, home):
    refused = fedcart("forget", "--party", "shop-x", "--yes", "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "party-unknown"
    mistyped = fedcart("forget", "--party", "shop-x", "--rows", "nowhere.csv", "--yes", "--json")
    assert json.loads(mistyped.stdout)["error"]["code"] == "party-unknown", "and not what rows it names"
    key = load_role_settings(home, "shop-a").signing_key
    moved = key.rename(key.with_suffix(".away"))
    refused = fedcart("forget", "--party", "shop-a", "--yes", "--json")
    moved.rename(key)
    assert json.loads(refused.stdout)["error"]["code"] == "key-missing"
    assert not has_left(load_role_settings(home, "shop-a").workspace, "rights")


def test_a_list_that_is_gone_is_refused_until_it_is_given_up(fedcart, home):
    """After the tests above: shop-c has withdrawn two rows."""
    rows = ("--party", "shop-c", "--rows", str(home / "rows.csv"), "--json")
    workspace = load_role_settings(home, "shop-c").workspace
    withdrawn_file(workspace, "rights").unlink()
    for more in (["--dry-run"], ["--yes"]):
        refused = fedcart("forget", *rows, *more)
        error = json.loads(refused.stdout)["error"]
        assert (refused.returncode, error["code"]) == (1, "withdrawn-damaged")
        assert "--new-list" in refused.stdout
    alone = fedcart("forget", "--party", "shop-c", "--new-list", "--yes", "--json")
    assert json.loads(alone.stdout)["error"]["code"] == "usage"
    assert not has_left(workspace, "rights")
    done = fedcart("forget", *rows, "--yes", "--new-list")
    assert json.loads(done.stdout)["new_rows"] == 2
    assert "rows that stand neither in FILE nor on a list that can still be read" in " ".join(
        done.stderr.split()
    )
    assert read_withdrawn(workspace, "rights").has("so bad")


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        (champion_key("rights"), b"{}"),
        (release_key("rights", 1, "request"), b"{}"),
        (release_key("rights", 1, "request"), None),
    ],
)
def test_no_object_that_is_damaged_or_gone_keeps_rows_from_the_list(
    fedcart, home, champion, tmp_path, lost, left
):
    number = len(read_withdrawn(load_role_settings(home, "shop-a").workspace, "rights"))
    path = tmp_path / "rows.csv"
    path.write_text(f"text\nstranger {number}\n")
    data = champion.store.read(lost)
    champion.store.delete(lost)
    if left is not None:
        champion.store.put_blob(lost, left)
    done = fedcart("forget", "--party", "shop-a", "--rows", str(path), "--yes")
    champion.store.put_blob(lost, data)
    assert done.returncode == 0, done.stderr
    assert "release" in done.stderr, "what cannot be read is told"
    assert "the coordinator of it." in done.stdout
    kept = read_withdrawn(load_role_settings(home, "shop-a").workspace, "rights")
    assert kept.has(f"stranger {number}")


def test_other_recipes_of_the_party_are_named_with_their_commands(fedcart, home, champion):
    rows = ("--party", "shop-c", "--rows", str(home / "rows.csv"), "--dry-run")
    assert "also gave updates" not in fedcart("forget", *rows).stdout
    other = FinishedRun(home, "others-1", seed=2, changes={"name": "others"})
    other.play(1, {"shop-a": 1, "shop-c": 1}, {"shop-b": "contract-failed"}, accuracy=0.7)
    shown = " ".join(fedcart("forget", *rows).stdout.split())
    assert "shop-c also gave updates to others, from which this withdraws nothing. For that: " in shown
    assert (
        f"fedcart forget --party shop-c --rows {home / 'rows.csv'} --recipe FILE, the file of others" in shown
    )
    assert json.loads(fedcart("forget", *rows, "--json").stdout)["other_recipes"] == ["others"]
    left = " ".join(fedcart("forget", "--party", "shop-a", "--dry-run").stdout.split())
    assert "fedcart forget --party shop-a --recipe FILE, the file of others" in left
    refused = fedcart("forget", "--party", "shop-b", "--dry-run", "--json")
    assert json.loads(refused.stdout)["other_recipes"] == [], "it sat out"
