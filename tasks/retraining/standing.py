"""What stands in the bucket of a recipe's runs and retrainings, by the store's clock. No Prefect.

A run has no plan while its training waits at Prefect for a free worker, and nothing in the bucket tells a
training that waits from one that will never begin. So whoever asks says which trainings are `unfinished`:
runs of the recipe whose training Prefect has and has not seen end.
"""

from collections.abc import Set
from dataclasses import dataclass, replace

from fedmodels.errors import IntegrityError
from fedmodels.protocol.drift import SeenNotice
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.retraining import START_TIMEOUT, RetrainingRequest, RunAge
from infra.layout import closed_key, plan_key, retraining_key, retrainings_prefix
from infra.leftovers import list_objects
from infra.object_store import ObjectStore
from tasks.exchange import read_from_party, read_message
from tasks.reading import PlannedRun, look_at_runs

CLOSED_LIMIT = 4 * 1024 * 1024
"""Bytes above which an object does not say how a run ended."""


@dataclass(frozen=True)
class BegunRetraining:
    """A retraining that took its number, `age` seconds ago."""

    request: RetrainingRequest
    age: float
    planned: float | None
    """Seconds since its run has a plan; `None` while there is none."""
    starting: bool
    """Whether it may still get one."""
    in_vain: bool = False
    """Whether its run failed or was cancelled."""
    over: bool = False
    """Whether its run is closed."""

    @property
    def answers(self) -> bool:
        """Whether it answers its notices: it will begin, or began and has not ended without a model."""
        return self.starting or (self.planned is not None and not self.in_vain)


@dataclass(frozen=True)
class Retrainings:
    """Those of one recipe, oldest first."""

    begun: tuple[BegunRetraining, ...]
    next_number: int

    @property
    def starting(self) -> tuple[RunAge, ...]:
        """Those whose run has no plan yet and may get one."""
        return tuple(RunAge(each.request.run, each.age, open=True) for each in self.begun if each.starting)

    @property
    def latest(self) -> RunAge | None:
        """The run of the last one that began."""
        found = ((each.planned, each.request.run) for each in self.begun)
        ages = [RunAge(run, planned, open=False) for planned, run in found if planned is not None]
        return min(ages, key=lambda run: run.age, default=None)

    @property
    def unclosed(self) -> bool:
        """Whether the run of one of them has begun and is open."""
        return any(each.planned is not None and not each.over for each in self.begun)

    def answer(self, seen: SeenNotice) -> bool:
        """Whether one of them answers a notice, or one that it renews."""
        return any(
            seen.key in each.request.notices or seen.drift in each.request.drifts
            for each in self.begun
            if each.answers
        )

    def answer_all(self, withdrawals: Set[str], touched: Set[str] = frozenset()) -> str | None:
        """The last run among those that begin, or began and did not end in vain, if they answer all of these.

        Args:
            withdrawals: keys of notices.
            touched: runs whose models are no answer, as they learned from something withdrawn themselves.
        """
        answering = [each for each in self.begun if each.answers and each.request.run not in touched]
        named = [each.request for each in answering if withdrawals & set(each.request.withdrawals)]
        all_of_them = withdrawals <= {key for request in named for key in request.withdrawals}
        return named[-1].run if named and all_of_them else None

    def of(self, ticket: str) -> RetrainingRequest | None:
        """What this ticket began."""
        return next((each.request for each in self.begun if each.request.ticket == ticket), None)


def read_retrainings(store: ObjectStore, recipe: str, unfinished: Set[str]) -> Retrainings:
    """All retrainings of a recipe that are on record.

    Args:
        store: the bucket with the coordinator's credentials.
        recipe: name of the recipe.
        unfinished: runs whose training Prefect has not seen end.

    Raises:
        IntegrityError: `drift-record-damaged`: nobody can tell what one of them answers.
    """
    ages = {}
    for found in list_objects(store, retrainings_prefix(recipe)):
        name = found.key.rpartition("/")[2].removesuffix(".json")
        if name.isdecimal():
            ages[int(name)] = found.age

    def look(number: int) -> BegunRetraining | None:
        request = _read_request(store, recipe, retraining_key(recipe, number))
        if request is None:
            return None
        planned = store.age(plan_key(request.run))
        starting = planned is None and (ages[number] <= START_TIMEOUT or request.run in unfinished)
        closed = (
            read_from_party(store, closed_key(request.run), Closed, CLOSED_LIMIT)
            if planned is not None
            else None
        )
        in_vain = closed is not None and closed.status != "finished"
        return BegunRetraining(request, ages[number], planned, starting, in_vain, closed is not None)

    begun = tuple(found for found in map(look, sorted(ages)) if found is not None)
    return Retrainings(begun, max(ages, default=0) + 1)


def _read_request(store: ObjectStore, recipe: str, key: str) -> RetrainingRequest | None:
    try:
        return read_message(store, key, RetrainingRequest)
    except IntegrityError:
        raise IntegrityError(
            f"The record {key} of a retraining is damaged, so that no drift of {recipe} is answered",
            fix="restore it from a backup, or remove that object once no run of the recipe is open",
            code="drift-record-damaged",
        ) from None


def open_runs(
    store: ObjectStore, recipe: str, known: Retrainings, unfinished: Set[str]
) -> tuple[RunAge, ...]:
    """Runs of the recipe that are open, retrainings that are starting, and trainings that wait at Prefect.

    One that has a plan and is none of the `unfinished` is conducted by nobody.
    """
    runs = _runs_of_recipe(store, recipe)
    starting = known.starting
    named = {each.run for each in (*runs, *starting)}
    waiting = [RunAge(run, 0.0, open=True) for run in sorted(unfinished - named)]
    standing = (replace(run, conducted=run.run in unfinished) for run in runs if run.open)
    return (*standing, *starting, *waiting)


def _runs_of_recipe(store: ObjectStore, recipe: str) -> tuple[RunAge, ...]:
    """Runs of the recipe that have a plan, whatever version of fedcart wrote it."""

    def look(run: str, _planned: PlannedRun) -> RunAge:
        return RunAge(run, store.age(plan_key(run)) or 0.0, open=not store.exists(closed_key(run)))

    return tuple(look_at_runs(store, recipe, look))
