"""Joining a run: read its plan, take the session's lease, fetch what every round needs."""

from collections.abc import Callable
from typing import Literal

from prefect import task

from fedmodels.errors import DataRefused, FedcartError, InputError, PolicyForbids
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Announcement, Closed, Head, Plan, Session
from fedmodels.protocol.policy import policy_violations
from infra.fault_points import fault_step
from infra.keys import public_key
from infra.layout import closed_key, head_key, plan_key, round_key, session_key
from infra.waiting import outlasting, patient, wait_for
from tasks.exchange import parse, read_bytes, read_message
from tasks.models import fetch_model
from tasks.party.boundary import sealed
from tasks.party.session import PartySession
from tasks.party.told_withdrawals import refuse_left_before, refuse_lost_list, remind_of_list, told_so_far
from tasks.party.watchdog import ended_after, ended_by_kernel
from tasks.policy import LOCAL, STORE
from tasks.tagging import tagged
from tasks.workbenches import open_workbench

PLAN_TIMEOUT = 300.0
LOOKS_PER_LEAVING_CHECK = 4


@task(task_run_name="join_run · {session.party}", **STORE)
@tagged
@sealed("join")
def join_run(session: PartySession, session_id: str) -> str:
    """Wait for the plan, check that it names this party with this key, and take the lease.

    The latest session of a party holds the lease; an earlier one that still lives sees that within seconds,
    or at the end of its round, and leaves.

    Raises:
        InputError: there is no such run, or its plan names this party with another key.
        PolicyForbids: the party's own policy forbids what the plan proposes; names every rule it breaks. Or
            the party has left the recipe (`party-left`).
        DataRefused: its list of withdrawn rows is not what it should be (`withdrawn-damaged`).
    """
    key = plan_key(session.run)
    data = wait_for(lambda: read_bytes(session.store, key), timeout=PLAN_TIMEOUT)
    if data is None:
        raise InputError(
            f"The run {session.run} has no plan after {PLAN_TIMEOUT:.0f} s",
            fix="check the run's name",
            code="run-unknown",
        )
    found = parse(Plan, data, key)
    if found.run != session.run:
        raise InputError(
            f"The plan of run {session.run} is that of run {found.run}",
            fix="start a new run",
            code="plan-foreign",
        )
    if found.parties.get(session.party) != public_key(session.signing_key):
        raise InputError(
            f"The plan of run {session.run} does not name party {session.party} with the key that it holds",
            fix="give the coordinator this party's public key",
            code="key-mismatch",
        )
    if forbidden := policy_violations(session.policy, found.recipe):
        raise PolicyForbids(
            f"The policy of party {session.party} forbids the run {session.run}: {'; '.join(forbidden)}",
            fix="change the recipe, or [policy] in the party's fedcart.toml",
        )
    _refuse_withdrawn(session, found.recipe.name)
    session.plan, session.plan_sha256 = found, sha256_hex(data)
    _take_lease(session, Session(run=session.run, party=session.party, session=session_id))
    session.predecessor = None
    return found.recipe.name


def _refuse_withdrawn(session: PartySession, recipe: str) -> None:
    """Keep the party out of a recipe that it has left, and from training past its withdrawals."""
    told = told_so_far(session.store, session.party, recipe, session.notices)
    refuse_left_before(session.workspace, recipe, session.party, told)
    refuse_lost_list(session.workspace, recipe, told)
    remind_of_list(session.store, session.workspace, session.party, recipe, told)


@task(task_run_name="decline · {session.party}", **STORE)
@tagged
@sealed("join")
def decline(session: PartySession, session_id: str, error: FedcartError) -> str:
    """Tell the coordinator, in the lease, why this party does not take part; return the error's code.

    Nothing is said where a later session has the lease: it is taken from nobody but the session that had it
    when this one began, and only if this one never had it.
    """
    lease = Session(
        run=session.run,
        party=session.party,
        session=session_id,
        refusal=error.code,
        reason=str(error),
    )
    _take_lease(session, lease, lambda standing: standing.session in (session_id, session.predecessor))
    return error.code


@task(task_run_name="load_model · {session.party}", **STORE)
@tagged
@sealed("join")
@ended_after(lambda recipe: recipe.preparing_limit)
def load_model(session: PartySession) -> str:
    """Build the model that stays in memory for all rounds, and fetch the weights of the first one."""
    plan = session.joined_plan
    session.workbench = open_workbench(session.store, plan, session.cache, session.threads)
    head = read_message(session.store, head_key(session.run), Head)
    sha256 = head.model_sha256 if head else plan.base_model_sha256
    _, session.bytes_ahead = fetch_model(session.store, sha256, session.models)
    return plan.architecture_sha256


@task(task_run_name="import_libraries · {session.party}", **LOCAL)
@tagged
@sealed("join")
def import_libraries(session: PartySession) -> str:
    """Import what every round needs, ten seconds of processor time, while the coordinator makes the plan."""
    with ended_by_kernel(PLAN_TIMEOUT):
        import great_expectations  # noqa: F401

        import fedmodels.workbench  # noqa: F401

    return session.party


@outlasting
@fault_step
def is_over(session: PartySession) -> bool:
    """Whether the run was closed."""
    return read_message(session.store, closed_key(session.run), Closed) is not None


@outlasting
@fault_step
def find_predecessor(session: PartySession) -> None:
    """Remember which session of the party has the lease as this one begins."""
    standing = read_message(session.store, session_key(session.party, session.run), Session)
    session.predecessor = standing.session if standing else None


@outlasting
@fault_step
def holds_lease(session: PartySession, session_id: str) -> bool:
    """Whether this session is still the one that its party runs."""
    return has_lease(session, session_id)


@fault_step
def next_announcement(session: PartySession, session_id: str, after: int) -> Announcement | None:
    """Wait for the next round after that one which is not closed yet.

    A session that was away while rounds went by, on a machine that slept, say, passes them over: work for
    them would come too late, and the open round would have to wait for it.

    Returns:
        Its announcement; `None` when the run is over or idle too long, or another session of the party has
        the lease. Two coordinators that began one run side by side have started two; the coordinator that
        goes on may wait for the one that lost the lease, and starts it again once it has left.
    """
    looks, done = 0, after

    def look() -> Announcement | Literal["leave"] | None:
        nonlocal looks, done
        looks += 1
        if looks % LOOKS_PER_LEAVING_CHECK == 0:
            closed = read_message(session.store, closed_key(session.run), Closed)
            if closed is not None or not has_lease(session, session_id):
                return "leave"
        found = read_message(session.store, round_key(session.run, done + 1, "announcement"), Announcement)
        if found is not None and (closed_rounds := _last_closed_round(session)) > done:
            done, found = closed_rounds, None
        return found

    idle = session.joined_plan.recipe.session_idle_timeout
    found = wait_for(patient(look), timeout=idle, first_wait=session.poll_seconds)
    return found if isinstance(found, Announcement) else None


@outlasting
@fault_step
def last_closed_round(session: PartySession) -> int:
    """The round that HEAD stands at: rounds up to it need no work of ours."""
    return _last_closed_round(session)


def _last_closed_round(session: PartySession) -> int:
    head = read_message(session.store, head_key(session.run), Head)
    return head.round if head else 0


def has_lease(session: PartySession, session_id: str) -> bool:
    """The same, asked once."""
    lease = read_message(session.store, session_key(session.party, session.run), Session)
    return lease is not None and lease.session == session_id


def _take_lease(
    session: PartySession, lease: Session, may_take: Callable[[Session], bool] = lambda _standing: True
) -> None:
    """Create the lease, or take it from who has it, as long as that is allowed."""
    session.store.create(session_key(session.party, session.run), canonical_json(lease))
    _move_lease(session, lease, may_take)


@outlasting
@fault_step
def declare_ready(session: PartySession, session_id: str) -> None:
    """Say in the lease that model and data are loaded, so that a round may be announced.

    What the data were refused for is said with it: no round is announced then that can have no quorum.
    """
    refused = session.refused if isinstance(session.refused, DataRefused) else None
    ready = Session(
        run=session.run,
        party=session.party,
        session=session_id,
        ready=True,
        refusal=refused.code if refused else None,
        reason=str(refused) if refused else "",
    )
    _move_lease(session, ready, lambda standing: standing.session == session_id)


def _move_lease(session: PartySession, lease: Session, may_move: Callable[[Session], bool]) -> None:
    """Swap the lease in from what stands there, as long as that may be moved."""
    key = session_key(session.party, session.run)
    while True:
        found = session.store.read_version(key)
        if found is None:
            raise InputError(f"The lease {key} vanished", fix="start the session again")
        standing = parse(Session, found[0], key)
        if standing == lease or not may_move(standing):
            return
        if session.store.swap(key, canonical_json(lease), found[1]):
            return
