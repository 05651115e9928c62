"""Noticing, while waiting and between steps, that the run was closed or taken over by somebody else."""

from fedmodels.errors import RunConflict
from fedmodels.protocol.messages import Closed, Head
from fedmodels.protocol.progress import is_taken
from infra.fault_points import fault_step
from infra.layout import closed_key, head_key
from infra.lookout import LOOK_TIMEOUT_S
from infra.object_store import ObjectStore
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_message


def interrupted(run: CoordinatorRun, *, now: bool = False, patience: float = 0.0) -> bool:
    """Whether the run is somebody else's or nobody's any more, as far as is known.

    The store is asked once a second at most, in a thread that nobody waits for, unless the answer must be of
    `now`. A store that does not answer says nothing: whoever waits asks again, and a step that needs the
    store tries it for longer than this look would.

    Args:
        run: the run.
        now: ask the store and wait for its answer.
        patience: seconds to wait for a look that is due.

    Raises:
        TransientError: the store does not answer, and the answer must be of `now`.
    """
    interruption = run.interruption
    if interruption.found is None:
        interruption.note(
            _look(run, run.store)
            if now
            else interruption.lookout.ask(lambda: _look(run, run.store_for_looks), patience=patience)
        )
    return interruption.found is not None


@fault_step
def fold_interruption(run: CoordinatorRun) -> None:
    """Let the run's state say that it was closed. Between two steps there is time for one short look.

    Raises:
        RunConflict: another coordinator has taken over.
    """
    if run.state.closed is None and interrupted(run, patience=LOOK_TIMEOUT_S):
        found = run.interruption.found
        if isinstance(found, Closed):
            run.fold(found)
        elif found is not None:
            raise found


def stop_waiting(run: CoordinatorRun) -> None:
    """Let the threads that wait for parties end: this process was asked to, and waits for them itself."""
    ended = RunConflict(
        f"The coordinator of the run {run.run} was asked to end",
        fix=f"go on with fedcart train --resume {run.run}",
        code="coordinator-ended",
    )
    run.interruption.note(ended)


def epoch_lost(run: str, epoch: int) -> RunConflict:
    """The error with which a coordinator stops whose run another one has."""
    return RunConflict(
        f"Another coordinator has taken over the run {run} (epoch {epoch} is past)",
        fix="leave it to the other one",
        code="epoch-lost",
    )


def _look(run: CoordinatorRun, store: ObjectStore) -> Closed | RunConflict | None:
    head = read_message(store, head_key(run.run), Head)
    closed = read_message(store, closed_key(run.run), Closed)  # last: HEAD may be swapped next
    if closed is not None:
        return closed
    taken = head is not None and is_taken(run.head, head)
    return epoch_lost(run.run, run.head.epoch) if taken else None
