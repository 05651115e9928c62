"""A party's own policy decides whether it trains and scores, and the coordinator is told why not."""

import json

import pytest

from flows.following import coordinator_store
from infra.role_settings import update_role_settings


@pytest.fixture
def rules(federation):
    """Give parties a policy; taken back afterwards."""
    given = set()

    def give(party, **policy):
        given.add(party)
        update_role_settings(federation.home, party, {"policy": policy})

    yield give
    for party in given:
        update_role_settings(federation.home, party, {"policy": None})


def prepared(federation, name, parties, **changes):
    tables = {party: {"train": str(federation.private / f"{party}.csv")} for party in parties}
    data = {"parties": tables, "coordinator": {"table": str(federation.own)}}
    recipe = federation.recipe(name, data=data, num_rounds=1, **changes)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    return str(recipe)


def test_the_others_go_on_without_a_party_whose_policy_forbids_the_run(federation, rules):
    rules("shop-c", max_local_epochs=1, require_clipping_norm=2.0)
    rules("shop-b", allow_evaluation=False)
    local = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
    recipe = prepared(federation, "policed", ("shop-a", "shop-b", "shop-c"), local=local)
    document = federation.document("train", "--recipe", recipe, "--run", "policed-1")
    (row,) = document["rounds"]
    assert row["accepted"] == ["shop-a", "shop-b"]
    assert row["refused"] == [{"party": "shop-c", "code": "policy-forbids"}]
    assert row["parties"]["shop-a"]["metrics"] is not None
    assert row["parties"]["shop-b"]["metrics"] is None
    store = coordinator_store(federation.home)
    lease = json.loads(store.read("parties/shop-c/runs/policed-1/session.json"))
    assert "local.epochs is 2, above max_local_epochs (1)" in lease["reason"]
    assert "update.clipping_norm is not set, at most 2 is required" in lease["reason"]
    assert store.read("parties/shop-c/runs/policed-1/rounds/0001/receipt.json") is None


def test_a_run_that_needs_the_party_stops_at_once_and_names_its_code(federation, rules):
    rules("shop-b", max_rounds=2)
    recipe = prepared(federation, "needed", ("shop-a", "shop-b"), max_failed_rounds=2)
    done = federation.call("train", "--recipe", recipe, "--run", "needed-1")
    said = " ".join(done.stderr.split())
    assert done.returncode != 0
    assert "(parties-missing)" in said
    assert "2 are required (shop-b: policy-forbids, " in said
    assert "num_rounds + max_failed_rounds is 3, above max_rounds (2)" in said
    assert "Traceback" not in said
