"""The half of the harness that lives in the processes of coordinator and parties.

`infra/fault_points.py` imports it where `FAULTS_OF_FEDCART` says so. `FAULT_ORDERS` names a folder, with one
for each run in it. There `orders.json` says which points of which role are to be hit, each of them once;
`fired-N.json` is written when order N was. The process then stands at its point, so that the harness can see
what the store shows at that moment, until `released-N` lets it go on. `seen.log` lists every point that was
passed.
"""

import errno
import functools
import hashlib
import importlib
import inspect
import json
import os
import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from botocore import auth, compat

from fedmodels.errors import DataRefused, PrefectAway, StoreUnavailable
from infra.waiting import wait_for
from tests.faults.points import CLOCKS, COORDINATOR, object_of

ORDERS = "FAULT_ORDERS"
RELEASE_TIMEOUT = 600.0
SIGNED_OFF_S = 600.0
OURS = ("fedmodels", "flows", "infra", "tasks", "validation")
_step: ContextVar[str] = ContextVar("step", default="")
_round: ContextVar[int | None] = ContextVar("round", default=None)
_inside: ContextVar[bool] = ContextVar("inside", default=False)
"""Whether an effect is under way: one that is part of another is no point of its own."""


class Place:
    """Which run and role this process serves, and what it is to do there; learned at its first step."""

    run = ""
    role = ""
    folder = Path()
    orders: list[dict[str, Any]] = []  # noqa: RUF012 (one per process is what is meant)
    seen: set[tuple[str, str]] = set()  # noqa: RUF012


def around_step(function):
    """A step; where a step is decorated twice, the inner decoration counts."""
    if hasattr(function, "is_fault_point"):
        return function
    name, signature = function.__name__, inspect.signature(function)

    @functools.wraps(function)
    def step(*args, **kwargs):
        _learn(signature.bind(*args, **kwargs).arguments)
        outer = _step.set(name), _round.set(_round_of(args))
        try:
            _visit("", "before", {})
            result = function(*args, **kwargs)
            _visit("", "after", {})
            return result
        finally:
            _step.reset(outer[0])
            _round.reset(outer[1])

    vars(step)["is_fault_point"] = True
    return step


def around_effect(function):
    """Something that a step reads or writes: of the store, of Prefect, or a file."""
    if inspect.isgeneratorfunction(inspect.unwrap(function)) and function.__name__ == "open":
        return _around_stream(function)

    @functools.wraps(function)
    def effect(*args, **kwargs):
        if _inside.get():
            return function(*args, **kwargs)
        name, facts = _describe(function.__name__, args)
        outer = _inside.set(True)
        try:
            _visit(name, "before", facts)
            result = function(*args, **kwargs)
            _visit(name, "after", _known_after(function.__name__, facts, result))
            return result
        finally:
            _inside.reset(outer)

    return effect


def _around_stream(function):
    @functools.wraps(function)
    @contextmanager
    def stream(*args, **kwargs):
        name, facts = _describe(function.__name__, args)
        alone = not _inside.get()
        if alone:
            _visit(name, "before", facts)
        with function(*args, **kwargs) as body:
            yield body
        if alone:
            _visit(name, "after", facts)

    return stream


def _learn(arguments: dict[str, Any]) -> None:
    """The run: the argument of that name, or what the first argument, a session say, has by that name."""
    if Place.run or ORDERS not in os.environ:
        return
    told = arguments.get("run", next(iter(arguments.values())))
    Place.run = told if isinstance(told, str) else told.run
    Place.role = Path(os.environ["FEDCART_CONFIG"]).parent.name
    Place.folder = Path(os.environ[ORDERS]) / Place.run
    orders = Place.folder / "orders.json"
    Place.orders = json.loads(orders.read_text()) if orders.exists() else []
    for number, order in enumerate(Place.orders):
        if (order["action"], order["role"]) == ("clock", Place.role):
            _turn_clock(CLOCKS[order["when"]])  # in every process of the role, since the machine's is wrong
            if _claim(number):
                _obey(number, order, {})


def _turn_clock(seconds: float) -> None:
    """Let our own code in this process believe that it is `seconds` later.

    Requests are signed up to `SIGNED_OFF_S` seconds wrong: S3 refuses what is a quarter of an hour off. What
    Python's monotonic clocks say stays as it is, as on a machine whose clock is wrong.
    """
    signed = timedelta(seconds=max(-SIGNED_OFF_S, min(SIGNED_OFF_S, seconds)))
    true_time, true_now = time.time, compat.get_current_datetime

    class Turned(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=seconds)

    time.time = lambda: true_time() + seconds
    assert auth.get_current_datetime is true_now, "botocore asks for the time elsewhere now"
    vars(auth)["get_current_datetime"] = lambda *args: true_now(*args) + signed
    importlib.import_module("tasks.party.kept_contract")  # looks at the clock, and is imported late
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in OURS and getattr(module, "datetime", None) is datetime:
            vars(module)["datetime"] = Turned


def _round_of(args) -> int | None:
    """The round that a step is told to work for, by the message that it is given."""
    rounds = (getattr(argument, "round", None) for argument in args[1:])
    return next((number for number in rounds if isinstance(number, int)), None)


def _describe(verb: str, args) -> tuple[str, dict[str, str]]:
    """The effect's name, and for one of the store its key and the hash of what is to be written there."""
    if len(args) < 2 or not isinstance(args[1], str) or "/" not in args[1]:
        return verb, {}
    key, content = args[1], args[2] if len(args) > 2 else None
    facts = {"key": key}
    if isinstance(content, bytes):
        facts["sha256"] = hashlib.sha256(content).hexdigest()
    if verb == "upload":
        facts["sha256"] = args[3]
    return f"{verb} {object_of(key)}", facts


def _known_after(verb: str, facts: dict[str, str], result) -> dict[str, str]:
    """The same when the call has returned, with the hash of what then stands there; none if it lost."""
    if verb == "create" and isinstance(result, bytes):
        return {**facts, "sha256": hashlib.sha256(result).hexdigest()}
    if verb == "swap" and not result:
        return {**facts, "sha256": ""}
    return facts


def _visit(effect: str, when: str, facts: dict[str, str]) -> None:
    if not Place.run or not Place.folder.exists():
        return
    step = _step.get() or "publish"  # the publisher's thread takes no step of its own
    if (step, effect) not in Place.seen:
        Place.seen.add((step, effect))
        side = COORDINATOR if Place.role == COORDINATOR else "party"
        with (Place.folder / "seen.log").open("a") as log:
            log.write(json.dumps([side, step, effect]) + "\n")
    for number, order in enumerate(Place.orders):
        wanted = (order["role"], order["step"], order["effect"], order["when"])
        first = order["follows"]
        due = first is None or (Place.folder / f"fired-{first}.json").exists()
        due = due and order["round"] in (None, _round.get())
        if due and wanted == (Place.role, step, effect, when) and _claim(number):
            _obey(number, order, facts)


def _claim(number: int) -> bool:
    """Whether this is the first process, and the first time, to come here."""
    try:
        (Place.folder / f"claimed-{number}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _obey(number: int, order: dict[str, Any], facts: dict[str, str]) -> None:
    marker = Place.folder / f"fired-{number}.json"
    part = marker.with_suffix(".part")
    part.write_text(json.dumps({**order, **facts, "pid": os.getpid(), "clock": time.time()}))
    part.rename(marker)
    # A kill comes from outside meanwhile. A hang ends when the runner has seen the run go on without us, and
    # all others as soon as it has looked what the store shows.
    wait_for((Place.folder / f"released-{number}").exists, timeout=RELEASE_TIMEOUT, longest_wait=0.1)
    if order["action"] == "error":
        raise _error(order)


def _error(order: dict[str, Any]) -> Exception:
    match order["error"]:
        case "disk":
            return OSError(errno.EIO, "Input/output error")
        case "prefect":
            return PrefectAway("The Prefect server does not answer")
        case "refused":
            return DataRefused("The party sits this round out", fix="wait for the next one")
        case _:
            return StoreUnavailable(f"The object store does not answer (at {order['step']})", fix="try again")
