"""Parties' sessions: started once per run on each party's own pool, and again when they died or left."""

import time
from contextlib import suppress
from uuid import UUID

from prefect import task
from prefect.logging import get_run_logger

from fedmodels.errors import PrefectAway, StackError, read_coded
from fedmodels.protocol.allowance import why_not_begun
from fedmodels.protocol.messages import Session
from fedmodels.protocol.reserved import may_say
from fedmodels.protocol.restarts import (
    RESTARTS_PER_ROUND,
    UNKNOWN,
    Fate,
    Restarts,
    after_look,
    code_of_death,
    missed_round,
    session_fate,
)
from infra.deployments.looking import flow_run_outcome, flow_run_state
from infra.deployments.starting import cancel_party_session, start_party_session
from infra.layout import receipt_key, round_key, session_key
from infra.waiting import wait_answered
from tasks.coordinator.interrupting import interrupted
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_from_party
from tasks.policy import STORE
from tasks.tagging import tagged

CHECK_SECONDS = 2.0
LEASE_LIMIT = 64 * 1024
"""Bytes of a lease: ids, and a sentence."""
GONE = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING", UNKNOWN})
Loss = tuple[str, str]
"""Code and sentence of a session that is not started again in this round."""


@task(task_run_name="start_session · {party}", **STORE)
@tagged
def start_session(run: CoordinatorRun, party: str) -> str:
    """Ask Prefect for a session of `party`, unless one is alive; return the flow run's id.

    One that was refused its data gets a successor, which looks at them afresh; so does one that hangs, whose
    flow run is cancelled: its process holds a slot of the party's pool.
    """
    lease = standing_lease(run, party)
    state = flow_run_state(lease.session) if lease else UNKNOWN
    hangs = lease is not None and state == "RUNNING" and _hangs(run, party, lease)
    if lease is not None and lease.refusal is None and state not in GONE and not hangs:
        run.sessions[party] = lease.session
        return lease.session
    run.sessions[party] = start_party_session(run.run, party)
    if lease is not None and hangs:
        with suppress(PrefectAway, StackError):  # its successor takes the lease all the same
            cancel_party_session(run.run, party, lease.session)
    return run.sessions[party]


def _hangs(run: CoordinatorRun, party: str, lease: Session) -> bool:
    """Whether a session lives of which nothing came in time, at a resume, nor has come since.

    That is one that was not ready after `join_timeout`, or that was ready before the last closed round was
    announced, which asked the party, and for which there is no receipt.
    """
    if not run.is_open:
        return False
    key = session_key(party, run.run)
    if not lease.ready:
        age = run.store.age(key)
        return age is not None and age > run.plan.recipe.join_timeout
    number = missed_round(run.records, party)
    if number is None or run.store.exists(receipt_key(party, run.run, number)):
        return False
    ready, announced = run.store.put_at(key), run.store.put_at(round_key(run.run, number, "announcement"))
    return ready is not None and announced is not None and ready <= announced


@task(task_run_name="await_sessions", **STORE)
@tagged
def await_sessions(run: CoordinatorRun, cohort: tuple[str, ...], required: int) -> tuple[str, ...]:
    """Wait until every party of the cohort has loaded model and data; return those that are ready.

    Raises:
        QuorumMissed: after the recipe's `join_timeout` fewer than `required` are ready with sound data.
        StoreUnavailable: the store is away for longer than an outage; until then nobody is missing for it.
    """
    timeout = run.plan.recipe.join_timeout
    watches = {party: SessionWatch(run, party, every=1.0) for party in cohort}
    joined: dict[str, Session] = {}

    def settled() -> bool:
        joined.clear()
        joined.update(_joined(run, cohort))
        run.declined = {party: lease for party, lease in joined.items() if not lease.ready}
        losses = [party for party in cohort if party not in joined and watches[party].lost() is not None]
        return len(joined) + len(losses) == len(cohort) or interrupted(run)

    wait_answered(settled, timeout=timeout, first_wait=run.poll_seconds)
    run.round_began = time.perf_counter()
    run.watch.answerable()
    for party in run.declined:
        run.restarts[party] = Restarts(run.state.open_round, refused_in=run.state.open_round)
    able = [party for party, lease in joined.items() if lease.refusal is None]
    if len(able) < required and not interrupted(run):
        missing = {
            party: told(party, joined[party]) if party in joined else watches[party].known_loss
            for party in cohort
            if party not in able
        }
        raise why_not_begun(run.run, len(able), required, missing)
    return tuple(party for party, lease in joined.items() if lease.ready)


def _joined(run: CoordinatorRun, cohort: tuple[str, ...]) -> dict[str, Session]:
    """The leases of those sessions of this coordinator that have said whether they take part."""
    leases = {party: standing_lease(run, party) for party in cohort}
    return {
        party: lease
        for party, lease in leases.items()
        if lease and (lease.ready or lease.refusal) and lease.session == run.sessions.get(party)
    }


def standing_lease(run: CoordinatorRun, party: str) -> Session | None:
    """The lease that the party's session holds; what is no lease, or names no flow run, is none."""
    lease = read_from_party(run.store, session_key(party, run.run), Session, LEASE_LIMIT)
    try:
        return lease if lease and UUID(lease.session) else None
    except ValueError:
        return None


def declined(run: CoordinatorRun, party: str) -> Loss | None:
    """Why the party's session does not take part, as it says in its lease; `None` when it says nothing."""
    lease = run.declined.get(party)
    return told(party, lease) if lease else None


def look_again(run: CoordinatorRun, party: str) -> None:
    """Forget that the party declined, once another session has its lease, or in a later round.

    In a later round its session is started once more, as one that refused in another way is.
    """
    lease = run.declined.get(party)
    if lease is None:
        return
    standing = standing_lease(run, party)
    if standing is not None and standing.session != lease.session:
        run.sessions[party] = standing.session
        del run.declined[party]
    elif run.restarts[party].refused_in != run.state.open_round:
        del run.declined[party]


def told(party: str, lease: Session) -> Loss:
    """Code and sentence of a lease that refuses.

    What no party may say is not repeated: the code is `receipt-malformed` then, as for a receipt.
    """
    code, reason = lease.refusal or "declined", lease.reason.rstrip(".")
    if may_say(code, reason):
        return code, reason
    return "receipt-malformed", f"Party {party} declines with a code or a reason that no party may give"


class SessionWatch:
    """Looks every few seconds whether one party's session lives, and starts it again when it should be.

    Args:
        run: the run.
        party: whose session.
        every: seconds between two looks at Prefect.
    """

    def __init__(self, run: CoordinatorRun, party: str, every: float = CHECK_SECONDS) -> None:
        self._run, self._party, self._every = run, party, every
        self._looked = time.monotonic()
        self.known_loss: Loss | None = None
        """Why there is no session in this round any more, once that was seen."""

    def lost(self) -> Loss | None:
        """Why there is no session in this round any more, or `None` while there is or will be one."""
        if told := declined(self._run, self._party):
            return told
        if self.known_loss is None and time.monotonic() - self._looked > self._every:
            self._looked = time.monotonic()
            self.known_loss = _look_after(self._run, self._party)
        return self.known_loss


def _look_after(run: CoordinatorRun, party: str) -> Loss | None:
    """Look at the session once: it lives, is started again now or soon, or is lost for this round."""
    flow_run_id = run.sessions.get(party)
    state = flow_run_state(flow_run_id) if flow_run_id else None
    code, said = _ending(flow_run_id) if flow_run_id and state == "FAILED" else ("", "")
    fate = session_fate(state, code)
    known = run.restarts.get(party, Restarts())
    run.restarts[party], deed = after_look(known, fate, run.state.open_round, time.monotonic())
    if deed == "start":
        _start_again(run, party)
    return _loss(party, fate, code, said) if deed == "give-up" else None


def _loss(party: str, fate: Fate, code: str, said: str) -> Loss:
    """Code and sentence of a session that is given up for this round."""
    if fate == "cancelled":
        return "session-cancelled", f"The session of party {party} was cancelled"
    if fate == "refused":
        return code, said
    went = "left its run" if fate == "left" else "died"
    why = f"The session of party {party} {went}, and {RESTARTS_PER_ROUND} restarts did not help"
    return code_of_death(code), f"{why} ({code}: {said})" if code else why


def _start_again(run: CoordinatorRun, party: str) -> None:
    """Start a session; without Prefect the next look tries again, and counts it as a death."""
    try:
        run.sessions[party] = start_party_session(run.run, party)
    except (PrefectAway, StackError) as error:
        get_run_logger().warning("The session of %s cannot be started again now: %s", party, error)


def _ending(flow_run_id: str) -> Loss:
    """Code and sentence that a session's flow run left; empty strings when it left none that it may say."""
    said = read_coded(flow_run_outcome(flow_run_id) or "")
    return said if said and may_say(*said) else ("", "")
