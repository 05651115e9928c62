"""Runs in which each party trains alone."""

from datetime import UTC, datetime

from fedmodels.identifiers import check_identifier
from fedmodels.recipe import Recipe
from flows.demonstration import alone_requests

PARTIES = ("electronics-shop-north", "electronics-shop-south")


def test_each_party_gets_a_run_of_its_own_however_alike_their_names():
    tables = {party: {"train": f"{party}.csv"} for party in PARTIES}
    recipe = Recipe(name="r", data={"parties": tables, "coordinator": {"table": "own.csv"}})
    requests = alone_requests(recipe, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    runs = [check_identifier("run", request.run) for request in requests.values()]
    assert runs == ["alone-1-electro-20260102-030405", "alone-2-electro-20260102-030405"]
    assert [request.parties for request in requests.values()] == [(party,) for party in PARTIES]
    assert all(request.recipe.min_available_parties == 1 for request in requests.values())
