"""The round protocol: from what a coordinator knows, the one thing that it does next.

    Announce → Collect → Decide → Propose → Judge → Commit → MoveHead → Announce ... → CloseRun → Ended
                           └ too few updates,    ┘
                             or changed since,
                             or no finite average

Each step leaves a message behind (`state.advance`), and what stands in the bucket is adopted and never done
again. So a resume is nothing special: it reads the state, and `next_step` says where to go on.
"""

from dataclasses import dataclass

from fedmodels.errors import RunError
from fedmodels.protocol.allowance import has_quorum, why_failed, why_stopped
from fedmodels.protocol.cohort import draw_cohort
from fedmodels.protocol.deciding import changed_since
from fedmodels.protocol.dropping import draw_number
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Decision, Head, Record
from fedmodels.protocol.progress import follow, why_finished
from fedmodels.protocol.recording import Status
from fedmodels.protocol.resting import resting_parties
from fedmodels.protocol.salvage import NOT_IN_TIME, salvageable
from fedmodels.protocol.state import RunState, advance


@dataclass(frozen=True)
class Announce:
    """Begin a round: create this announcement."""

    announcement: Announcement


@dataclass(frozen=True)
class Collect:
    """Wait for the cohort's receipts and admit their updates; `late` have one of the round before due."""

    announcement: Announcement
    late: tuple[str, ...]


@dataclass(frozen=True)
class Decide:
    """Create the decision from what was collected."""

    announcement: Announcement
    late: tuple[str, ...]


@dataclass(frozen=True)
class Recall:
    """Read again what a standing decision counts: another coordinator collected it."""

    announcement: Announcement
    decision: Decision


@dataclass(frozen=True)
class Propose:
    """Aggregate what the decision counts, fine-tune, and create the candidate; or refuse the round."""

    decision: Decision


@dataclass(frozen=True)
class Judge:
    """Gather the scores of `asked` parties, score the holdout, and let the gate speak."""

    candidate: Candidate
    asked: tuple[str, ...]


@dataclass(frozen=True)
class Commit:
    """Create the record. It commits the round."""

    announcement: Announcement


@dataclass(frozen=True)
class MoveHead:
    """Swap HEAD to follow a record that stands."""

    record: Record
    head: Head


@dataclass(frozen=True)
class CloseRun:
    """No further round: create `closed.json`."""

    status: Status
    code: str
    reason: str


@dataclass(frozen=True)
class Halt:
    """Stop without closing: a person has to act, and a resume goes on from here."""

    error: RunError


@dataclass(frozen=True)
class Ended:
    """The run is over, whoever closed it."""

    closed: Closed


Step = Announce | Collect | Decide | Recall | Propose | Judge | Commit | MoveHead | CloseRun | Halt | Ended


def next_step(state: RunState) -> Step:
    """The one thing to do in this state. Equal states have equal next steps."""
    if state.closed is not None:
        return Ended(state.closed)
    if state.record is not None:
        head = follow(state.head, state.record, state.records, state.plan.recipe)
        return MoveHead(state.record, head)
    if state.announcement is None:
        return _between_rounds(state)
    if state.decision is None:
        late = salvageable(state.records, state.plan.recipe)
        if state.collected is None:
            return Collect(state.announcement, late)
        return Decide(state.announcement, late)
    if state.collected is None:
        return Recall(state.announcement, state.decision)
    carried_out = has_quorum(state.decision, state.plan.recipe) and not changed_since(
        state.decision, state.collected.items
    )
    if not carried_out or state.verdict is not None:
        return Commit(state.announcement)
    if state.candidate is None:
        return Propose(state.decision)
    asked = _in_time(state.announcement, state.decision) if state.candidate.evaluate else ()
    return Judge(state.candidate, asked)


def asks_parties(step: Step) -> bool:
    """Whether a step is in vain while the parties have no sessions.

    What else is left of a round, or of a run, the coordinator does alone.
    """
    return isinstance(step, Announce | Collect) or (isinstance(step, Judge) and bool(step.asked))


def only_closes(state: RunState) -> bool:
    """Whether HEAD and `closed.json` are all that is left to write: nobody is asked, and nothing scored."""
    step = next_step(state)
    while isinstance(step, MoveHead):
        state = advance(state, step.head)
        step = next_step(state)
    return isinstance(step, CloseRun | Ended)


def _in_time(announcement: Announcement, decision: Decision) -> tuple[str, ...]:
    """Parties of the cohort that answered the round, with an update that counts or without.

    The others still train, or have no session: to wait for their scores would give them the time that
    `grace` denied them.
    """
    missing = {
        refusal.party for refusal in decision.refused if refusal.round is None and refusal.code in NOT_IN_TIME
    }
    return tuple(party for party in announcement.cohort if party not in missing)


def _between_rounds(state: RunState) -> Step:
    recipe, records = state.plan.recipe, state.records
    if reason := why_finished(state.head, records, recipe):
        return CloseRun("finished", "", reason)
    if reason := why_failed(records, recipe):
        return CloseRun("failed", "too-many-failed-rounds", reason)
    if error := why_stopped(state.plan.run, records, recipe, state.took_over_at):
        return Halt(error)
    return Announce(announcement_of(state))


def announcement_of(state: RunState) -> Announcement:
    """The announcement of the next round: the good model, and whoever is drawn and does not rest."""
    recipe, parties = state.plan.recipe, state.plan.parties
    resting = resting_parties(state.records, parties, recipe.min_available_parties)
    number = draw_number(state.records)
    return Announcement(
        run=state.plan.run,
        round=state.open_round,
        passed_rounds=state.head.passed_rounds,
        model_sha256=state.head.model_sha256,
        cohort=draw_cohort(
            (party for party in parties if party not in resting),
            recipe.fraction_train,
            recipe.min_available_parties,
            recipe.seed,
            number,
        ),
        round_timeout=recipe.round_timeout,
    )
