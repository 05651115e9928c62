"""Runs in which each party trains alone, and what a demonstration leaves behind."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from fedmodels.identifiers import check_identifier
from fedmodels.recipe import Recipe
from flows import demonstration
from flows.demonstration import Wanted, alone_requests, demonstrate

PARTIES = ("electronics-shop-north", "electronics-shop-south")
TABLES = {party: {"train": f"{party}.csv"} for party in PARTIES}


def test_each_party_gets_a_run_of_its_own_however_alike_their_names():
    recipe = Recipe(name="r", data={"parties": TABLES, "coordinator": {"table": "own.csv"}})
    requests = alone_requests(recipe, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    runs = [check_identifier("run", request.run) for request in requests.values()]
    assert runs == ["alone-1-electro-20260102-030405", "alone-2-electro-20260102-030405"]
    assert [request.parties for request in requests.values()] == [(party,) for party in PARTIES]
    assert all(request.recipe.min_available_parties == 1 for request in requests.values())


@pytest.fixture
def noted(monkeypatch):
    """What a demonstration did to the stack: its steps are noted instead of taken, and train nothing."""
    noted = []
    monkeypatch.setattr(demonstration, "_bring_up", lambda *_arguments: noted.append("up"))
    monkeypatch.setattr(demonstration, "down", lambda _home: noted.append("down"))
    monkeypatch.setattr(demonstration, "process_ids", lambda _home: [1])  # a store for another command
    monkeypatch.setattr(demonstration, "_train", lambda *_arguments, **_flags: ({"run_id": "r-1"}, 1.0))
    return noted


def wanted(home, **flags) -> Wanted:
    return Wanted(
        Recipe(name="r", data={"parties": TABLES, "coordinator": {"table": "o.csv"}}), home, **flags
    )


@pytest.mark.parametrize(
    ("stood", "keep", "steps"),
    [(False, False, ["up", "down"]), (True, False, ["up"]), (False, True, ["up"])],
)
def test_what_was_started_is_stopped_and_a_store_alone_is_no_stack(
    tmp_path, monkeypatch, noted, stood, keep, steps
):
    monkeypatch.setattr(demonstration, "stands", lambda _home: stood)
    demonstrate(wanted(tmp_path, keep=keep), print, nullcontext)
    assert noted == steps
