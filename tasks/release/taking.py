"""Who goes on with a release: its first ticket or, when that is dead, whoever took it up after. No model.

Only that flow run asks a person, so that no two forms are open for one model.
"""

from collections.abc import Callable
from itertools import count

from fedmodels.errors import FedcartError
from fedmodels.protocol.releases import LONGEST_WORDS, ReleaseRequest, Taking, Unreleasable
from infra.layout import release_key, unreleasable_key
from infra.object_store import ObjectStore
from tasks.exchange import create_message, read_message
from tasks.reading import read_plan
from tasks.release.pruned import PRUNED

LASTING = frozenset({"chain-broken", "labels-differ", "labels-unknown", PRUNED})
"""Codes of what keeps a model from ever getting a report, however often its checks are begun."""


def tickets(store: ObjectStore, request: ReleaseRequest) -> list[str]:
    """Who began a release, and who took it up, in order; the last one goes on with it."""
    found = [request.ticket]
    for number in count(1):
        taking = read_message(store, _key(request, number), Taking)
        if taking is None:
            return found
        found.append(taking.ticket)
    raise AssertionError


def take_up(store: ObjectStore, request: ReleaseRequest, ticket: str, going: Callable[[str], bool]) -> bool:
    """Take a release up whose flow run is dead; return whether this ticket is the one that goes on with it.

    Args:
        store: the bucket with the coordinator's credentials.
        request: of the release.
        ticket: id of whoever asks.
        going: whether the flow run of a ticket may still go on.
    """
    before = tickets(store, request)
    if before[-1] == ticket:
        return True
    if going(before[-1]):
        return False
    ours = Taking(recipe=request.recipe, release=request.release, ticket=ticket)
    return create_message(store, _key(request, len(before)), ours) == ours


def refuse_for_good(store: ObjectStore, run: str, error: FedcartError) -> None:
    """Note what keeps a run's model from ever getting a report: no scheduled look proposes it again."""
    recipe = read_plan(store, run).recipe.name
    words = str(error)[:LONGEST_WORDS]
    ours = Unreleasable(recipe=recipe, run=run, code=error.code or "", sentence=words)
    create_message(store, unreleasable_key(recipe, run), ours)


def _key(request: ReleaseRequest, number: int) -> str:
    return release_key(request.recipe, request.release, f"taken-{number}")
