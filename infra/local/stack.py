"""The stack of one machine: object store, Prefect server, one worker per role; up, down and borrowed.

What was started is recorded, and each process carries a marker, so that a crash at any point leaves
nothing that `down` does not find. One command at a time changes a stack.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from tenacity import retry, retry_if_exception, stop_after_attempt

from fedmodels.errors import StackError
from infra.deployments import heartbeats
from infra.deployments.declaration import declare, locked_template
from infra.local import borrowers, endings, prefect_server, processes, seaweedfs, workers
from infra.local.lock import locked
from infra.local.plan import Stack, check_home, plan_stack, read_stack, soon, write_stack
from infra.local.ports import port_is_free
from infra.local.processes import Record
from infra.local.roles import prepare_roles, store_folder
from infra.locations import logs_folder, stack_folder
from infra.loopback import spare_loopback
from infra.waiting import wait_for

STORE, SERVER = "store", "server"
START_TIMEOUT_S = 300.0
WORKER_GRACE_S, SERVER_GRACE_S = 5.0, 3.0
PORT_LOST = "port-lost"
PORT_TRIES = 3


def _lost_a_port(error: BaseException) -> bool:
    return isinstance(error, StackError) and error.code == PORT_LOST


@retry(retry=retry_if_exception(_lost_a_port), stop=stop_after_attempt(PORT_TRIES), reraise=True)
def up(
    home: Path,
    parties: tuple[str, ...],
    *,
    bucket: str | None = None,
    server_port: int | None = None,
    s3_port: int | None = None,
    database: str | None = None,
    entrypoints: Mapping[str, str] | None = None,
    preload: tuple[str, ...] = workers.PRELOADED,
    extra_environment: Mapping[str, str] | None = None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Stack:
    """Start what does not run yet, for these parties and those that the stack has; return when it works.

    Harmless when all of it runs. When a part does not start, what this call started is stopped again; when
    that is because another program took a port between the choice and the start, others are chosen. This
    process asks loopback without a proxy from now on.

    Args:
        home: folder for everything that is written.
        parties: ids of the parties; the coordinator comes along.
        bucket: name of the bucket, made when it is missing; that of the time before when not given, and
            `fedcart` at first.
        server_port: of the Prefect server; a free one when not given.
        s3_port: of the object store; a free one when not given.
        database: URL of a PostgreSQL for the Prefect server, a secret; that of the time before when not
            given, and SQLite at first.
        entrypoints: arguments of `declare` for other flows than fedcart's own.
        preload: modules that the flows import, imported once for all runs.
        extra_environment: more variables for workers and the runs that they start.
        on_step: called with a few words whenever a part works.

    Raises:
        StackError: a program is missing, a port taken, or a process ended or did not answer in time.
        InputError: a party's name, a key, a settings file or the database's URL is wrong.
    """
    spare_loopback()
    home = home.resolve()
    database = prefect_server.database_url(database) if database else None
    entrypoints, extra_environment = entrypoints or {}, extra_environment or {}
    weed = seaweedfs.find_weed()
    with locked(home):
        living = living_parts(home)
        before = read_stack(home)
        stack = plan_stack(
            home,
            parties,
            bucket=bucket,
            server_port=server_port,
            s3_port=s3_port,
            server_lives=SERVER in living,
            store_lives=STORE in living,
            database=database,
        )
        declared = _fingerprint(stack.parties, entrypoints)
        if before and before.server_port != stack.server_port:
            _stop_all_but(home, (STORE, SERVER))  # they would go on asking at the old port
            living = living_parts(home)
        write_stack(stack)
        missing = tuple(role for role in stack.roles if workers.worker_name(role) not in living)
        with ExitStack() as undo:
            undo.callback(_stop_started_since, home, frozenset(living))
            server = living.get(SERVER) or _start_server(stack)
            launcher = None
            if missing or SERVER not in living or declared != stack.declared:
                launcher = workers.launch(
                    home, stack.parties, missing, stack.server_port, entrypoints, preload, extra_environment
                )
            _ensure_store(stack, weed, living.get(STORE))
            on_step("object store")
            port = stack.server_port
            _await(server, lambda: prefect_server.answers(port), lambda: port_is_free(port))
            on_step("Prefect server")
            if launcher:
                _await_launcher(home, launcher, missing)
                on_step("workers")
            undo.pop_all()
        borrowers.forget_started(stack_folder(home))
        stack = replace(stack, declared=declared)
        write_stack(stack)
    return stack


def down(
    home: Path,
    *,
    patience: float = endings.PATIENCE_S,
    in_use: Callable[[tuple[str, ...]], bool] = lambda _going: False,
) -> tuple[str, ...]:
    """Stop every process of the stack, whatever started it; return the names of those that still ran.

    The server last, so that workers and the runs that they started can say goodbye to it. Harmless when
    nothing runs.

    Args:
        home: folder for everything that was written.
        patience: seconds in which flow runs may end by themselves, before they are stopped.
        in_use: given the ids of the flow runs that have not, whether to leave all as it is.

    Raises:
        StackError: another command is changing the stack.
        NotADirectoryError: `home` is a file, or below one.
    """
    home = home.resolve()
    check_home(home)
    stack = stack_folder(home)
    if not stack.exists():
        return ()
    with locked(home):
        living = tuple(sorted(living_parts(home)))
        stopped = endings.await_flow_runs(stack, patience)
        if in_use(stopped):
            return ()
        store = processes.marked(stack, STORE)
        processes.ask_to_stop(store)
        _stop_all_but(home, (STORE, SERVER))
        if planned := read_stack(home):
            endings.tell_prefect(stopped, planned)
        processes.stop(processes.marked(stack, SERVER), grace=SERVER_GRACE_S)
        processes.stop(store, grace=SERVER_GRACE_S, asked=True)
        processes.forget(stack, processes.read_records(stack))
    return living


def start_store(home: Path) -> bool:
    """Start the object store alone, unless it runs; say whether this call started it.

    Raises:
        StackError: there is no stack in `home`, or the store does not start.
    """
    home = home.resolve()
    with locked(home):
        return _start_store(home)


@contextmanager
def borrowed_store(home: Path) -> Iterator[None]:
    """The object store runs inside; the last borrower stops it, if it was started for borrowers.

    A stack that came up meanwhile keeps it.

    Raises:
        StackError: there is no stack in `home`, or the store does not start.
    """
    home = home.resolve()
    stack = stack_folder(home)
    with ExitStack() as leaving:
        with locked(home):
            leaving.callback(_give_back, home, borrowers.enter(stack))
            if _start_store(home) and not stands(home):
                borrowers.note_started(stack, living_parts(home)[STORE])
        yield


def stands(home: Path) -> bool:
    """Whether more of the stack lives than its store: the server, a worker, or a run of one."""
    stack = stack_folder(home.resolve())
    store = {process.pid for process in processes.marked(stack, STORE)}
    return any(process.pid not in store for process in processes.marked(stack))


def living_parts(home: Path) -> dict[str, Record]:
    """The records of the stack's processes that live, by name."""
    records = processes.read_records(stack_folder(home))
    return {name: record for name, record in records.items() if record.process}


def process_ids(home: Path) -> list[int]:
    """Ids of all living processes of the stack, the runs of its workers included."""
    return [process.pid for process in processes.marked(stack_folder(home.resolve()))]


def measured_ids(home: Path) -> list[int]:
    """Ids of all that a command has to do with: its own process, and all of the stack."""
    return [os.getpid(), *process_ids(home)]


def _start_store(home: Path) -> bool:
    """`start_store`, under the lock."""
    weed = seaweedfs.find_weed()
    living = living_parts(home)
    if STORE in living:
        return False
    before = read_stack(home)
    if before is None:
        raise StackError(
            "There is no stack here yet", fix="run fedcart up or fedcart demo first", code="stack-missing"
        )
    stack = plan_stack(
        home,
        (),
        bucket=before.bucket,
        server_port=None,
        s3_port=None,
        server_lives=True,
        store_lives=False,
    )
    write_stack(stack)
    with ExitStack() as undo:
        undo.callback(_stop_started_since, home, frozenset(living))
        _ensure_store(stack, weed, None)
        undo.pop_all()
    return True


def _give_back(home: Path, slip: IO[bytes]) -> None:
    """Borrow the store no more, and stop it if nobody else needs it."""
    stack = stack_folder(home)
    with locked(home):
        borrowers.leave(slip)
        store = living_parts(home).get(STORE)
        if store is None or not borrowers.was_started(stack, store):
            return
        if not borrowers.any_left(stack) and not stands(home):
            processes.stop(processes.marked(stack, STORE), grace=SERVER_GRACE_S)
            processes.forget(stack, [STORE])
            borrowers.forget_started(stack)


def _start_server(stack: Stack) -> Record:
    folder = stack_folder(stack.home)
    processes.stop(processes.marked(folder, SERVER), grace=SERVER_GRACE_S)
    return processes.start(
        folder,
        SERVER,
        prefect_server.command(stack.server_port),
        role="all",
        what="Prefect server",
        log=logs_folder(stack.home) / "server.log",
        environment=prefect_server.environment(folder / "prefect", stack.server_port, stack.database),
        port=stack.server_port,
        folder=folder,
    )


def _ensure_store(stack: Stack, weed: Path, running: Record | None) -> None:
    """Have the store run and know every role."""
    folder, store = stack_folder(stack.home), store_folder(stack.home)
    before = seaweedfs.identities(store)
    issued = prepare_roles(stack)
    if running is None:
        processes.stop(processes.marked(folder, STORE), grace=SERVER_GRACE_S)
        running = processes.start(
            folder,
            STORE,
            seaweedfs.command(weed, store, stack.store, stack.bucket),
            role="all",
            what="object store",
            log=logs_folder(stack.home) / "store.log",
            environment=prefect_server.clean_environment() | seaweedfs.MEMORY_LIMIT,
            port=stack.store.s3,
            folder=store,
        )
    elif seaweedfs.identities(store) != before:  # a role is new, or has other rights than before
        seaweedfs.reload_identities(running.pid)
        _await(
            running,
            lambda: all(seaweedfs.knows(stack.store, stack.bucket, r, issued[r]) for r in stack.roles),
            lambda: stack.store.free,
        )
    writer = issued["coordinator"]
    _await(
        running,
        lambda: seaweedfs.accepts_writes(stack.store, stack.bucket, writer),
        lambda: stack.store.free,
    )


def _await(record: Record, condition: Callable[[], bool], free: Callable[[], bool]) -> None:
    """Wait until the process does what it is for.

    Args:
        record: of the process.
        condition: whether it does.
        free: whether its ports are free, once it has ended.

    Raises:
        StackError: it ended before, or takes longer than `START_TIMEOUT_S`.
    """

    def outcome() -> str | None:
        return "works" if condition() else "ended" if record.process is None else None

    match wait_for(outcome, timeout=START_TIMEOUT_S):
        case "ended" if not soon(free):
            raise StackError(
                f"The {record.what} found a port of its taken by a program that started at the same moment",
                fix="try again, or name a port that is free",
                code=PORT_LOST,
            )
        case "ended":
            raise _did_not_start(record, "ended while it started")
        case None:
            raise _did_not_start(record, f"did not answer within {START_TIMEOUT_S:.0f} s")


def _await_launcher(home: Path, launcher: Record, missing: tuple[str, ...]) -> None:
    # A process whose threads still end is a zombie already, but has no exit status yet.
    wait_for(lambda: processes.exit_status(launcher) is not None, timeout=START_TIMEOUT_S)
    living = living_parts(home)
    if processes.exit_status(launcher) != 0:
        raise _did_not_start(launcher, "could not declare pools and deployments")
    processes.forget(stack_folder(home), [workers.LAUNCHER])
    for role in missing:
        if (name := workers.worker_name(role)) not in living:
            raise _did_not_start(processes.read_records(stack_folder(home))[name], "ended while it started")


def _did_not_start(record: Record, happened: str) -> StackError:
    said = " / ".join(processes.last_lines(Path(record.log), 4)) or "nothing"
    who = record.what if record.role == "all" else f"{record.what} of {record.role}"
    return StackError(
        f"The {who} {happened}; the last it said: {said}", fix=f"see {record.log}", code="start-failed"
    )


def _stop_all_but(home: Path, names: tuple[str, ...]) -> None:
    stack = stack_folder(home)
    spared = {process.pid for name in names for process in processes.marked(stack, name)}
    processes.stop([p for p in processes.marked(stack) if p.pid not in spared], grace=WORKER_GRACE_S)


def _stop_started_since(home: Path, living: frozenset[str]) -> None:
    stack = stack_folder(home)
    started = {name: record for name, record in processes.read_records(stack).items() if name not in living}
    found = [process for record in started.values() if (process := record.process)]
    processes.stop(found, grace=SERVER_GRACE_S)
    processes.forget(stack, started)


def _fingerprint(parties: tuple[str, ...], entrypoints: Mapping[str, str]) -> str:
    """Names what is to be applied to the server, so that it is applied again only when it differs."""
    silence = heartbeats.SILENCE_S, heartbeats.SILENT_STATES, heartbeats.MESSAGE
    said = f"{declare(parties, **entrypoints)} {locked_template()} {silence}"
    return hashlib.sha256(said.encode()).hexdigest()
