"""The half of the harness that lives in the processes of coordinator and parties.

`infra/fault_points.py` imports it where `FAULTS_OF_FEDCART` says so. `FAULT_ORDERS` names a folder, with one
for each run in it. There `orders.json` says which points of which role are to be hit, each of them once;
`fired-N.json` is written when order N was, `released-N` lets a process go on that hangs, and `seen.log`
lists every point that was passed.
"""

import errno
import functools
import hashlib
import inspect
import json
import os
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fedmodels.errors import PrefectAway, StoreUnavailable
from infra.waiting import wait_for
from tests.faults.points import COORDINATOR, object_of

ORDERS = "FAULT_ORDERS"
RELEASE_TIMEOUT = 600.0
_step: ContextVar[str] = ContextVar("step", default="")
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
    name = function.__name__

    @functools.wraps(function)
    def step(*args, **kwargs):
        _learn(args[0] if args else next(iter(kwargs.values())))
        outer = _step.set(name)
        try:
            _visit("", "before", {})
            result = function(*args, **kwargs)
            _visit("", "after", {})
            return result
        finally:
            _step.reset(outer)

    step.is_fault_point = True
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
            _visit(name, "after", facts)
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


def _learn(first) -> None:
    """The run, from the object that every step has for its first argument."""
    if Place.run or ORDERS not in os.environ:
        return
    Place.run = first.run
    Place.role = Path(os.environ["FEDCART_CONFIG"]).parent.name
    Place.folder = Path(os.environ[ORDERS]) / Place.run
    orders = Place.folder / "orders.json"
    Place.orders = json.loads(orders.read_text()) if orders.exists() else []


def _describe(verb: str, args) -> tuple[str, dict[str, str]]:
    """The effect's name, and for one of the store its key and the hash of what is written there."""
    if len(args) < 2 or not isinstance(args[1], str) or "/" not in args[1]:
        return verb, {}
    key, content = args[1], args[2] if len(args) > 2 else None
    facts = {"key": key}
    if isinstance(content, bytes):
        facts["sha256"] = hashlib.sha256(content).hexdigest()
    return f"{verb} {object_of(key)}", facts


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
    part.write_text(json.dumps({**order, **facts, "pid": os.getpid()}))
    part.rename(marker)
    if order["action"] == "error":
        raise _error(order)
    # A kill comes from outside meanwhile. A hang ends when the runner has seen the run go on without us.
    wait_for((Place.folder / f"released-{number}").exists, timeout=RELEASE_TIMEOUT, longest_wait=0.1)


def _error(order: dict[str, Any]) -> Exception:
    match order["error"]:
        case "disk":
            return OSError(errno.EIO, "Input/output error")
        case "prefect":
            return PrefectAway("The Prefect server does not answer")
        case _:
            return StoreUnavailable(f"The object store does not answer (at {order['step']})", fix="try again")
