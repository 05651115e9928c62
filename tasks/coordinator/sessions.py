"""Parties' sessions: started once per run on each party's own pool, started again when they are gone."""

import time

from prefect import task

from fedmodels.errors import QuorumMissed
from fedmodels.protocol.messages import Session
from infra.deployments.starting import flow_run_outcome, flow_run_state, start_party_session
from infra.layout import session_key
from infra.waiting import wait_for
from tasks.coordinator.run import CoordinatorRun
from tasks.exchange import read_message
from tasks.policy import STORE
from tasks.tagging import tagged

JOIN_TIMEOUT = 180.0
LEFT = "COMPLETED"
GONE = frozenset({LEFT, "FAILED", "CRASHED", "CANCELLED", "CANCELLING"})


@task(task_run_name="start_session · {party}", **STORE)
@tagged
def start_session(run: CoordinatorRun, party: str) -> str:
    """Ask Prefect for a session of `party`, unless one is alive; return the flow run's id."""
    lease = read_message(run.store, session_key(party, run.run), Session)
    if lease is not None and not session_gone(lease.session):
        run.sessions[party] = lease.session
    else:
        run.sessions[party] = start_party_session(run.run, party)
    return run.sessions[party]


@task(task_run_name="await_sessions", **STORE)
@tagged
def await_sessions(run: CoordinatorRun, cohort: tuple[str, ...], required: int) -> tuple[str, ...]:
    """Wait until every party of the cohort has loaded model and data; return those that are ready.

    Raises:
        QuorumMissed: after `JOIN_TIMEOUT` seconds fewer than `required` parties are ready.
    """

    def ready() -> tuple[str, ...]:
        leases = {party: read_message(run.store, session_key(party, run.run), Session) for party in cohort}
        run.declined = {
            party: lease
            for party, lease in leases.items()
            if lease and lease.refusal and lease.session == run.sessions.get(party)
        }
        return tuple(party for party, lease in leases.items() if lease and lease.ready)

    def settled() -> bool:
        settled_ones = {*ready(), *run.declined}
        return all(party in settled_ones or session_gone(run.sessions.get(party)) for party in cohort)

    wait_for(settled, timeout=JOIN_TIMEOUT, first_wait=run.poll_seconds)
    here = ready()
    run.round_began = time.perf_counter()
    if len(here) < required:
        late = ", ".join(_absent(run, party) for party in cohort if party not in here)
        raise QuorumMissed(
            f"{len(here)} of {len(cohort)} parties joined within {JOIN_TIMEOUT:.0f} s, "
            f"{required} are required (missing: {late})",
            fix="see fedcart status for their workers, then fedcart train --resume",
            code="parties-missing",
        )
    return here


def _absent(run: CoordinatorRun, party: str) -> str:
    """The party, with code and sentence of why it is not there, as far as its lease or Prefect says so."""
    if lease := run.declined.get(party):
        return f"{party}: {lease.refusal}: {lease.reason.rstrip('.')}"
    outcome = flow_run_outcome(run.sessions[party]) if party in run.sessions else None
    return f"{party}: {outcome.rstrip('.')}" if outcome else party


def session_lost(run: CoordinatorRun, party: str) -> bool:
    """Whether the party's session died. One that left because it was idle is started again."""
    state = flow_run_state(run.sessions[party]) if party in run.sessions else None
    if state == LEFT:
        run.sessions[party] = start_party_session(run.run, party)
        return False
    return state in GONE


def session_gone(flow_run_id: str | None) -> bool:
    """Whether Prefect knows that the session has ended. Without Prefect the answer is no."""
    return flow_run_id is not None and flow_run_state(flow_run_id) in GONE
