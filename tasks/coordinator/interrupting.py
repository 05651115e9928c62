"""Noticing, while waiting and between steps, that the run was closed or taken over by somebody else."""

import time

from fedmodels.errors import RunConflict, TransientError
from fedmodels.protocol.messages import Closed, Head
from fedmodels.protocol.progress import is_taken
from infra.fault_points import fault_step
from infra.layout import closed_key, head_key
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_message

LOOK_SECONDS = 1.0


def interrupted(run: CoordinatorRun, *, now: bool = False) -> bool:
    """Whether the run is somebody else's or nobody's any more.

    Asks the store once a second at most, from whichever thread, unless the answer must be of `now`. A store
    that does not answer says nothing: whoever waits looks again, and a step that needs the store tries it
    for longer than this look would.

    Raises:
        TransientError: the store does not answer, and the answer must be of `now`.
    """
    interruption = run.interruption
    with interruption.lock:
        due = now or time.monotonic() - interruption.looked > LOOK_SECONDS
        if interruption.found is None and due:
            interruption.looked = time.monotonic()
            try:
                interruption.found = _look(run)
            except TransientError:
                if now:
                    raise
        return interruption.found is not None


@fault_step
def fold_interruption(run: CoordinatorRun) -> None:
    """Let the run's state say that it was closed.

    Raises:
        RunConflict: another coordinator has taken over.
    """
    if run.state.closed is None and interrupted(run):
        found = run.interruption.found
        if isinstance(found, Closed):
            run.fold(found)
        elif found is not None:
            raise found


def stop_waiting(run: CoordinatorRun) -> None:
    """Let the threads that wait for parties end: this process was asked to, and waits for them itself."""
    with run.interruption.lock:
        run.interruption.found = run.interruption.found or RunConflict(
            f"The coordinator of the run {run.run} was asked to end",
            fix=f"go on with fedcart train --resume {run.run}",
            code="coordinator-ended",
        )


def epoch_lost(run: str, epoch: int) -> RunConflict:
    """The error with which a coordinator stops whose run another one has."""
    return RunConflict(
        f"Another coordinator has taken over the run {run} (epoch {epoch} is past)",
        fix="leave it to the other one",
        code="epoch-lost",
    )


def _look(run: CoordinatorRun) -> Closed | RunConflict | None:
    head = read_message(run.store, head_key(run.run), Head)
    closed = read_message(run.store, closed_key(run.run), Closed)  # last: HEAD may be swapped next
    if closed is not None:
        return closed
    taken = head is not None and is_taken(run.head, head)
    return epoch_lost(run.run, run.head.epoch) if taken else None
