"""The place for checks of a release that read more than its models and scores: lineage, a privacy budget.

A check of this kind is a function of the candidate that reads what it needs and answers with `ReleaseCheck`s
under names of their own. It is added to `FURTHER`, in the order in which people read it; its checks stand in
every report from then on, and refuse like any other where their verdict is `failed`. It may be asked again:
the report that stands first counts.
"""

from collections.abc import Callable, Iterable

from fedmodels.protocol.releases import ReleaseCheck
from tasks.release.desk import ReleaseDesk
from tasks.release.hearing import hear_withdrawals
from tasks.release.kept import KeptModel
from tasks.release.lineage import gather_messages
from tasks.release.withdrawn import known_notices, touches_of
from validation.release.provenance import check_lineage, check_withdrawn

FurtherCheck = Callable[[ReleaseDesk, KeptModel], Iterable[ReleaseCheck]]


def lineage(desk: ReleaseDesk, kept: KeptModel) -> Iterable[ReleaseCheck]:
    """Whether all that the lineage record will name is there, and can be made again."""
    return check_lineage(gather_messages(desk.store, kept))


def withdrawn(desk: ReleaseDesk, kept: KeptModel) -> Iterable[ReleaseCheck]:
    """Whether the model learned from rows that were withdrawn, or from a party that left."""
    hear_withdrawals(desk.store, desk.signing_key, desk.party_keys)
    recipe = kept.plan.recipe.name
    notices = known_notices(desk.store, recipe)
    return check_withdrawn(touches_of(desk.store, recipe, kept.run, kept.round, notices))


FURTHER: tuple[FurtherCheck, ...] = (lineage, withdrawn)
"""In the order in which people read them."""


def further_checks(desk: ReleaseDesk, kept: KeptModel) -> tuple[ReleaseCheck, ...]:
    """What all of `FURTHER` say of the candidate."""
    return tuple(check for ask in FURTHER for check in ask(desk, kept))
