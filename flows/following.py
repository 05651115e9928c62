"""Starting a run on the deployments that are up, and following it to its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fedmodels.errors import (
    HubAway,
    InputError,
    PrefectAway,
    RunConflict,
    RunError,
    StackError,
    StoreBusy,
    StoreLost,
    StoreUnavailable,
    TransientError,
    read_coded,
)
from fedmodels.protocol.messages import Closed
from fedmodels.protocol.progress import refuse_closed
from fedmodels.recipe import Recipe
from infra.deployments.declaration import COORDINATOR, Declaration, declare
from infra.layout import closed_key, plan_key
from infra.local.plan import read_stack
from infra.local.processes import of_flow_run
from infra.local.stack import STORE, living_parts
from infra.local.workers import worker_name
from infra.locations import expanded, role_settings, stack_folder
from infra.object_store import ObjectStore
from infra.retry_rule import OUTAGE_S
from infra.role_settings import update_role_settings
from infra.settings import load_role_settings
from infra.stores import store_from_settings
from infra.waiting import outlasting, wait_for
from tasks.exchange import read_message
from tasks.reading import RunView, read_plan, read_state, read_summary

Watch = Callable[[RunView], None]
"""Told where the run stands whenever that was looked up."""
FOLLOW_TIMEOUT = 7 * 24 * 3600.0
LOOK_SECONDS = 1.0
FLOW_CHECK_SECONDS = 5.0
NOT_BEGUN = {"SCHEDULED", "PENDING"}
STORE_PATIENCE = 3 * OUTAGE_S
"""Seconds for which the store may be away while a run is watched. Longer than a task tries:
one that waits for parties does so for `OUTAGE_S`, and is tried again for as long."""


@dataclass(frozen=True)
class Request:
    """A training that a person asks for."""

    recipe: Recipe
    run: str
    resume: bool = False
    parties: tuple[str, ...] | None = None
    repeats: str | None = None
    """The run that this one is to make again."""


def coordinator_store(home: Path) -> ObjectStore:
    """The bucket with the coordinator's credentials.

    Raises:
        StackError: no stack was ever started here.
    """
    if not role_settings(home, "coordinator").exists():
        raise _no_stack(home)
    return store_from_settings(load_role_settings(home, "coordinator"))


def running_store(home: Path) -> ObjectStore:
    """The bucket of a stack that is up, for who is about to train on it.

    Raises:
        StackError: no stack was ever started here, or it, or its object store, is down.
    """
    if read_stack(home) is None:
        raise _no_stack(home)
    living = living_parts(home.resolve())
    if STORE not in living:
        what = "The object store of the stack" if living else "The stack"
        raise StackError(f"{what} in {home} is down", fix="start it with fedcart up", code="stack-down")
    return coordinator_store(home)


def require_worker(home: Path) -> None:
    """See that somebody would begin a run that is asked for now.

    Raises:
        StackError: the coordinator's worker is down.
    """
    if worker_name(COORDINATOR) not in living_parts(home.resolve()):
        raise StackError(
            f"The coordinator's worker of the stack in {home} is down",
            fix="run fedcart up",
            code="worker-down",
        )


def api_url(home: Path) -> str:
    """Of the stack's Prefect server.

    Raises:
        StackError: no stack was ever started here.
    """
    stack = read_stack(home)
    if stack is None:
        raise _no_stack(home)
    return stack.api_url


def _no_stack(home: Path) -> StackError:
    return StackError(
        f"There is no stack in {home}",
        fix="start one with fedcart up --recipe reviews, or run fedcart demo",
        code="stack-missing",
    )


def with_local_model(recipe: Recipe, home: Path) -> Recipe:
    """Move the path of a local model folder from the recipe to the coordinator's own settings."""
    folder = expanded(recipe.model.source)
    if not folder.is_dir():
        return recipe
    update_role_settings(home, "coordinator", {"model_folders": {recipe.name: str(folder.resolve())}})
    model = recipe.model.model_copy(update={"source": f"folder:{folder.name}"})
    return recipe.model_copy(update={"model": model})


def begin(request: Request, home: Path) -> str:
    """Ask Prefect for the coordinator's flow run; return its id.

    A store that is gone, or refuses the credentials, and a worker that is dead are met here, before
    anything is started. What a server that lost its database no longer knows is deployed again.

    Raises:
        RunConflict: a new run is asked for under the name of one that exists, or is being started
            (`run-exists`).
        StackError: there is no stack, or its store or the coordinator's worker is down.
    """
    from infra.deployments.starting import start_training
    from infra.deployments.starting_once import start_new_training

    store = running_store(home)
    # Read, not only looked for: the answer to a HEAD says of refused credentials no more than 403.
    known = store.read(plan_key(request.run), checked=False) is not None
    if known and not request.resume:
        raise _name_taken(store, request.run)
    require_worker(home)
    deploy_missing(home)
    recipe = with_local_model(request.recipe, home).without_paths().model_dump(mode="json")
    start = (
        partial(start_training, resume=True)
        if request.resume
        else partial(start_new_training, repeats=request.repeats)
    )
    return start(recipe, request.run, parties=request.parties, api_url=api_url(home))


def _name_taken(store: ObjectStore, run: str) -> RunConflict:
    """Whoever followed the run that has the name would take its result for their own."""
    over = read_message(store, closed_key(run), Closed) is not None
    next_step = f"see it with fedcart runs show {run}" if over else f"go on with fedcart train --resume {run}"
    return RunConflict(
        f"The run {run} exists and is {'over' if over else 'open'}",
        fix=f"choose another name, or {next_step}",
        code="run-exists",
    )


def deploy_missing(home: Path) -> tuple[str, ...]:
    """Deploy what the stack's server does not know of its parties; return the deployments that it lacked.

    Raises:
        StackError: there is no stack.
        PrefectAway: its server does not answer.
    """
    stack = read_stack(home)
    if stack is None:
        raise _no_stack(home)
    return deploy_where_missing(declare(stack.parties), stack.api_url)


def deploy_where_missing(declaration: Declaration, server: str) -> tuple[str, ...]:
    """Apply the declaration unless the server knows all of it; return the deployments that it lacked.

    Raises:
        PrefectAway: the server does not answer.
    """
    from infra.deployments.starting import missing_deployments

    missing = missing_deployments(declaration, api_url=server)
    if missing:
        from infra.deployments.applying import deploy

        deploy(server, declaration)
    return missing


def rejoin(home: Path, run: str, watch: Watch = lambda _state: None) -> dict[str, Any]:
    """Follow a run that was begun before, by this command or another; return its summary.

    Raises:
        InputError: neither the bucket nor Prefect knows the run.
        PrefectAway: the run is open, and the Prefect server does not answer.
        RunError: as `follow`.
    """
    from infra.deployments.starting import find_training

    store = coordinator_store(home)
    flow_run_id = None
    if read_message(store, closed_key(run), Closed) is None:
        try:
            flow_run_id = find_training(run, api_url=api_url(home))
        except PrefectAway:
            read_plan(store, run)  # of a run that nobody knows it says so
            raise
        if flow_run_id is None:
            read_plan(store, run)
    return follow(home, run, flow_run_id, watch)


def follow(
    home: Path, run: str, flow_run_id: str | None, watch: Watch = lambda _state: None
) -> dict[str, Any]:
    """Follow a run until it is closed; return its summary.

    Args:
        home: folder for everything that fedcart writes.
        run: id of the run.
        flow_run_id: the coordinator's flow run, whose end ends the waiting; `None` when Prefect, whose
            database may have been lost, knows of none.
        watch: told where the run stands.

    Raises:
        RunError: the run failed, or its coordinator ended without closing it.
        StackError: the coordinator's worker is dead, and had not begun the run.
        StoreLost: the store did not answer for `STORE_PATIENCE` seconds.
    """
    found = look_until(home, run, flow_run_id, watch, lambda state: state.closed is not None)
    store = coordinator_store(home)
    with _store_lost_told(run):
        state = outlasting(read_state)(store, run, RunView()) if isinstance(found, str) else found
        if state.closed is None:
            raise _coordinator_ended(run, str(found))
        if state.closed.status == "failed":
            raise RunError(state.closed.reason.rstrip("."), code=state.closed.code or None)
        return outlasting(read_summary)(store, run)


@contextmanager
def _store_lost_told(run: str) -> Iterator[None]:
    """Whoever gives a store up while a run is watched is told that the run does not end for that."""
    try:
        yield
    except (StoreUnavailable, StoreBusy) as error:
        raise StoreLost(
            f"The object store does not answer ({error.code}), so the run {run} is watched no longer; it "
            "goes on in the workers once the store is back",
            fix=f"see whether it runs (fedcart status), then watch the run with fedcart runs follow {run}, "
            f"or resume it with fedcart train --resume {run} when its coordinator has given up too",
            code=error.code,
        ) from None


def look_until(
    home: Path,
    run: str,
    flow_run_id: str | None,
    watch: Watch,
    wanted: Callable[[RunView], bool],
    every: float = LOOK_SECONDS,
) -> RunView | str:
    """Look at the run again and again until it stands where it is `wanted`.

    The bucket alone says where a run stands. A store that stumbles is asked again for `STORE_PATIENCE`
    seconds; Prefect, which may be away or know nothing, is only asked whether the coordinator ended, or
    never began.

    Returns:
        The wanted state, or what the coordinator's flow run says of its end when that came before.

    Raises:
        StackError: the coordinator's worker is dead, and had not begun the run.
        StoreLost: the store did not answer for `STORE_PATIENCE` seconds.
    """
    from infra.deployments.looking import flow_run_outcome

    store, prefect = coordinator_store(home), api_url(home)
    state = RunView()
    checked = answered = time.monotonic()

    def look() -> RunView | str | None:
        nonlocal state, checked, answered
        try:
            state = read_state(store, run, state)
        except TransientError:
            if time.monotonic() - answered > STORE_PATIENCE:
                raise
            return None
        answered = time.monotonic()
        watch(state)
        if wanted(state):
            return state
        if flow_run_id is None or time.monotonic() - checked < FLOW_CHECK_SECONDS:
            return None
        checked = time.monotonic()
        outcome = flow_run_outcome(flow_run_id, api_url=prefect)
        if outcome is None and not _will_begin(home.resolve(), flow_run_id, prefect):
            raise _never_began(run)
        return outcome

    with _store_lost_told(run):
        found = wait_for(look, timeout=FOLLOW_TIMEOUT, first_wait=0.2, longest_wait=every)
    return found if isinstance(found, RunView) else str(found or f"nothing in {FOLLOW_TIMEOUT:.0f} s")


def _will_begin(home: Path, flow_run_id: str, prefect: str) -> bool:
    """Whether the flow run has begun, or somebody is there who will begin it."""
    from infra.deployments.looking import flow_run_state

    if worker_name(COORDINATOR) in living_parts(home) or of_flow_run(stack_folder(home), flow_run_id):
        return True
    return flow_run_state(flow_run_id, api_url=prefect) not in NOT_BEGUN


def _never_began(run: str) -> StackError:
    return StackError(
        f"The coordinator's worker died before it began run {run}",
        fix=f"run fedcart up, which lets it begin, and watch it with fedcart runs follow {run}",
        code="worker-down",
    )


def _coordinator_ended(run: str, outcome: str) -> RunError:
    if coded := read_coded(outcome):
        code, sentence = coded
        kind = HubAway if code == HubAway.default_code else RunError
        return kind(sentence.rstrip("."), code=code)
    return RunError(
        f"The coordinator of run {run} ended without closing it ({outcome or 'no answer from Prefect'})",
        fix=f"see fedcart status, then go on with fedcart train --resume {run}",
        code="coordinator-died",
    )


def resumable(home: Path, run: str, wanted: Recipe | None = None) -> Recipe:
    """The recipe of a run that can go on.

    Args:
        home: folder for everything that fedcart writes.
        run: id of the run.
        wanted: the recipe that it is taken to have.

    Raises:
        InputError: there is no such run, or it was begun with another recipe than the wanted one.
        RunConflict: it is over.
    """
    store = running_store(home)
    plan = read_plan(store, run)
    refuse_closed(read_message(store, closed_key(run), Closed))
    if wanted is not None:
        ours, theirs = (_flat(r) for r in (with_local_model(wanted, home).without_paths(), plan.recipe))
        if changed := sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)):
            raise InputError(
                f"The run {run} was begun with another recipe, which differs in {', '.join(changed)}",
                fix="resume it without --recipe, or start a new run",
                code="recipe-changed",
            )
    return plan.recipe


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Dotted key to value, e.g. `local.epochs`; lists are values."""

    def pairs(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from pairs(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            yield prefix, value

    return dict(pairs("", recipe.model_dump(mode="json")))
