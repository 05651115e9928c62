"""Which retraining of a recipe is still under way, by Prefect's word and the bucket's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.withdrawal import WithdrawalNotice
from infra.deployments.observing import GoingRetraining
from infra.object_store import ObjectStore
from tasks.release.reading import ReleaseView, read_release, read_request, release_numbers
from tasks.release.taking import tickets
from tasks.release.withdrawn import touches_of


@dataclass(frozen=True)
class UnderWay:
    """A retraining that has not ended, by the id of its flow run."""

    ticket: str
    release: int | None = None
    """The release for which it asks a person; `None` while it asks nobody."""


def retraining_under_way(
    store: ObjectStore,
    recipe: str,
    going: Iterable[GoingRetraining],
    notices: Sequence[WithdrawalNotice] = (),
) -> UnderWay | None:
    """A retraining of the recipe that is still under way; `None` when there is none.

    One that is suspended for a person is not once the bucket has that person's word, or the release is over:
    whoever answers from the command line resumes no flow run. Nor is one whose release learned from what was
    withdrawn: nothing promotes that any more, whatever the person says.

    One that is suspended and asked for no release is taken to wait: nothing in the bucket says otherwise.

    Args:
        store: the bucket.
        recipe: name of the recipe.
        going: retrainings that Prefect has not seen end, of any recipe.
        notices: of withdrawal, beside those that releases are marked for.

    Raises:
        IntegrityError: what a release left is damaged.
        InputError: the request of one is gone.
    """
    ours = [each for each in going if each.recipe == recipe]
    running = next((each for each in ours if not each.suspended), None)
    if running is not None:
        return UnderWay(running.id)
    found = (_suspended(store, recipe, each.id, notices) for each in ours)
    return next((each for each in found if each is not None), None)


def _suspended(
    store: ObjectStore, recipe: str, ticket: str, notices: Sequence[WithdrawalNotice]
) -> UnderWay | None:
    numbers = release_numbers(store, recipe)
    begun = [number for number in numbers if ticket in tickets(store, read_request(store, recipe, number))]
    if not begun:
        return UnderWay(ticket)
    for view in (read_release(store, recipe, number) for number in begun):
        if view.standing == "no report yet":
            return UnderWay(ticket)
        if view.standing == "awaiting approval" and not _is_withdrawn(store, view, notices):
            return UnderWay(ticket, view.request.release)
    return None


def _is_withdrawn(store: ObjectStore, view: ReleaseView, notices: Sequence[WithdrawalNotice]) -> bool:
    """Whether a release learned from what was withdrawn, or nobody can tell what from."""
    if view.marks:
        return True
    request = view.request
    try:
        return bool(touches_of(store, request.recipe, request.run, request.round, notices, request.release))
    except (IntegrityError, InputError):
        return True
