"""The place for checks of a release beyond those of `validation/release`: a privacy budget, lineage.

A check of this kind is a function of the candidate that reads what it needs and answers with `ReleaseCheck`s
under names of their own. It is added to `FURTHER`, in the order in which people read it; its checks stand in
every report from then on, and refuse like any other where their verdict is `failed`. It may be asked again:
the report that stands first counts.
"""

from collections.abc import Callable, Iterable

from fedmodels.protocol.releases import ReleaseCheck
from tasks.release.desk import ReleaseDesk
from tasks.release.kept import KeptModel

FurtherCheck = Callable[[ReleaseDesk, KeptModel], Iterable[ReleaseCheck]]

FURTHER: tuple[FurtherCheck, ...] = ()
"""None so far."""


def further_checks(desk: ReleaseDesk, kept: KeptModel) -> tuple[ReleaseCheck, ...]:
    """What all of `FURTHER` say of the candidate."""
    return tuple(check for ask in FURTHER for check in ask(desk, kept))
