"""What each party would get alone: the same training by itself, as often and as long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fedmodels.errors import FedcartError
from fedmodels.identifiers import new_run_id
from fedmodels.recipe import Recipe, RoundGate
from flows.abandoning import abandon
from flows.following import Request, begin, follow

Say = Callable[[str], None]


def alone(recipe: Recipe) -> Recipe:
    """The same training for one party by itself: nobody averages, tunes or judges."""
    return recipe.model_copy(
        update={
            "min_available_parties": 1,
            "fine_tuning": None,
            "evaluate_at_parties": False,
            "early_stopping": None,
            "gate": RoundGate.off(),
        }
    )


def train_alone(
    recipe: Recipe, home: Path, say: Say, now: datetime, *, goes_down: bool
) -> dict[str, dict[str, float] | None]:
    """Train every party alone, one run each, all at once; scores on the coordinator's holdout.

    A party whose run fails has `None`, and `say` is told why. Runs that nobody goes on with are cancelled:
    one that failed, and when the command is interrupted and the stack `goes_down`, all of them. Their ids
    come from `now`, by `alone_requests`.
    """
    requests = alone_requests(recipe, now)
    begun: dict[str, str] = {}
    scores: dict[str, dict[str, float] | None] = dict.fromkeys(requests)
    try:
        for party, request in requests.items():
            with _failure_told(home, party, request.run, say):
                begun[party] = begin(request, home)
        for party, flow_run_id in begun.items():
            with _failure_told(home, party, requests[party].run, say):
                scores[party] = follow(home, requests[party].run, flow_run_id)["final"]
    except KeyboardInterrupt:
        for request in requests.values() if goes_down else ():
            abandon(home, request.run, "its demonstration was interrupted", say)
        raise
    return scores


def alone_requests(recipe: Recipe, now: datetime) -> dict[str, Request]:
    """A run for each party by itself. They are numbered: what an id holds of two names may be alike."""
    return {
        party: Request(alone(recipe), new_run_id(f"alone-{number}-{party}", now), parties=(party,))
        for number, party in enumerate(recipe.parties, start=1)
    }


@contextmanager
def _failure_told(home: Path, party: str, run: str, say: Say) -> Iterator[None]:
    try:
        yield
    except FedcartError as error:
        say(f"{party} could not be trained alone: {error} ({error.code})")
        abandon(home, run, "it failed, and nobody resumes it", say)
