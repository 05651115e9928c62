"""What a coordinator knows of its run, and how a message changes it. Frozen; without I/O.

Everything but the last three fields stands in the bucket, so that whoever reads it there has the same
state and goes on where the last coordinator stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fedmodels.errors import RunConflict
from fedmodels.protocol.deciding import Collected, as_decided
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Closed,
    Decision,
    Evaluation,
    GateResult,
    Head,
    Metrics,
    Plan,
    Record,
)


@dataclass(frozen=True)
class Collection:
    """What came of the parties of the open round, at most once for each party and receipt's round."""

    round: int
    items: tuple[Collected, ...]


@dataclass(frozen=True)
class Verdict:
    """What came of the candidate: the parties' scores, that on the holdout, and the gate's word.

    Without a candidate it says that the decision's average is no model. `dropped` is the worst contributor,
    where the gate refused and the recipe wants to go on without it.
    """

    round: int
    evaluations: Mapping[str, Evaluation | None]
    holdout: Metrics | None
    gate: GateResult
    dropped: str | None = None


@dataclass(frozen=True)
class RunState:
    """A run at one moment.

    `records` are the closed rounds in order; `announcement`, `decision`, `candidate` and `record` those of
    the round that is open, as far as it has come. `took_over_at` is the last closed round when this
    coordinator began. `collected` and `verdict` are only in memory: after a resume they are read again.
    """

    plan: Plan
    head: Head
    records: tuple[Record, ...] = ()
    closed: Closed | None = None
    announcement: Announcement | None = None
    decision: Decision | None = None
    candidate: Candidate | None = None
    record: Record | None = None
    took_over_at: int = 0
    collected: Collection | None = None
    verdict: Verdict | None = None

    @property
    def open_round(self) -> int:
        """The round that is open, or comes next."""
        return self.head.round + 1


Found = Announcement | Collection | Decision | Candidate | Verdict | Record | Head | Closed
"""What can change a state: a message that stands in the bucket, or what was gathered in memory."""


def advance(state: RunState, found: Found) -> RunState:
    """The state after `found`, which stands in the bucket now, whoever wrote it.

    Raises:
        RunConflict: it belongs to another run or round than the one that is open.
    """
    _check_place(state, found)
    match found:
        case Announcement():
            return replace(state, announcement=found)
        case Collection():
            return replace(state, collected=found)
        case Decision():
            items = as_decided(found, state.collected.items) if state.collected else None
            kept = None if items is None else Collection(found.round, items)
            return replace(state, decision=found, collected=kept)
        case Candidate():
            return replace(state, candidate=found)
        case Verdict():
            return replace(state, verdict=found)
        case Record():
            return replace(state, record=found)
        case Closed():
            return replace(state, closed=found)
        case Head():
            return _follow_head(state, found)


def _follow_head(state: RunState, head: Head) -> RunState:
    """A new epoch changes HEAD alone; a moved HEAD also closes the open round."""
    if head.round == state.head.round:
        return replace(state, head=head)
    assert state.record is not None
    return RunState(
        plan=state.plan,
        head=head,
        records=(*state.records, state.record),
        closed=state.closed,
        took_over_at=state.took_over_at,
    )


def _check_place(state: RunState, found: Found) -> None:
    run = getattr(found, "run", state.plan.run)
    if isinstance(found, Closed):
        fits = True
    elif isinstance(found, Head):
        fits = found.round == state.head.round or (
            state.record is not None and found.round == state.record.round
        )
    else:
        fits = found.round == state.open_round
    if run != state.plan.run or not fits:
        raise RunConflict(
            f"A {type(found).__name__.lower()} of run {run}, round {getattr(found, 'round', '-')} lies "
            f"where run {state.plan.run} is at round {state.open_round}",
            fix="see fedcart runs verify, or start a new run",
            code="message-unexpected",
        )
