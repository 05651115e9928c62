"""The place for checks of a release that read more than its models and scores: lineage, a privacy budget.

A check of this kind is a function of the candidate that reads what it needs and answers with `ReleaseCheck`s
under names of their own. It is added to `FURTHER`, in the order in which people read it; its checks stand in
every report from then on, and refuse like any other where their verdict is `failed`. It may be asked again:
the report that stands first counts.
"""

from collections.abc import Callable, Iterable

from fedmodels.protocol.releases import ReleaseCheck
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import KeptModel
from tasks.release.lineage import gather_messages
from validation.release.provenance import check_lineage

FurtherCheck = Callable[[ReleaseDesk, KeptModel], Iterable[ReleaseCheck]]


def lineage(desk: ReleaseDesk, kept: KeptModel) -> Iterable[ReleaseCheck]:
    """Whether all that the lineage record will name is there, and can be made again."""
    return check_lineage(gather_messages(desk.store, kept))


FURTHER: tuple[FurtherCheck, ...] = (lineage,)
"""In the order in which people read them."""


def further_checks(desk: ReleaseDesk, kept: KeptModel) -> tuple[ReleaseCheck, ...]:
    """What all of `FURTHER` say of the candidate."""
    return tuple(check for ask in FURTHER for check in ask(desk, kept))
