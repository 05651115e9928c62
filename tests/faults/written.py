"""Every write to the store that the code has, found in its text: what no run passes is listed all the same.

A write belongs to the steps from which it is reached by calls; where there is no such step, to the function
that it stands in, or whoever calls that where it is private. Of a method its name decides, not the type of
what it is called on. So a write can be listed at a step that never makes it.
"""

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Literal

from infra import layout
from tests.faults.points import WRITES, Point, object_of

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = frozenset({"tagged", "sealed", "bordered", "fault_step"})
CREATORS = frozenset({"create_message", "create_signed"})
"""Functions of `tasks/exchange.py` that create what they are given at the key that they are given."""
PUBLISHER = "publish"
"""The step that the harness names for what the publisher's thread does."""
UNKNOWN = "object"
"""Stands for what a key holds that is made elsewhere."""


@dataclass
class Written:
    """A function of the product: what it calls, and what it writes itself, as `create receipt`."""

    place: str
    """Its module and name; of a method a dot and the name: `tasks.sweeping.sweep`, `.publish`."""
    name: str
    side: Literal["coordinator", "party"]
    is_step: bool
    in_thread: bool = False
    """Whether it may run in the publisher's thread too."""
    calls: set[str] = field(default_factory=set)
    effects: set[str] = field(default_factory=set)


def writes_in_code(folder: Path = REPOSITORY / "tasks") -> set[Point]:
    """Step and effect of each write, as the harness would name them."""
    functions = [one for path in sorted(folder.rglob("*.py")) for one in _functions_of(path)]
    callers: defaultdict[str, list[Written]] = defaultdict(list)
    for one in functions:
        for called in one.calls:
            callers[called].append(one)
    return {
        Point(owner.side, owner.name, effect)
        for one in functions
        for effect in one.effects
        for owner in _owners(one, callers)
    }


def _owners(one: Written, callers: dict[str, list[Written]]) -> list[Written]:
    """The nearest steps above a write; else the function itself, or the nearest that is not private."""
    above = _reached(one, callers)
    steps = [each for each in above if each.is_step]
    if one.in_thread:
        steps.append(replace(one, name=PUBLISHER))
    return steps or [next((each for each in above if not each.name.startswith("_")), one)]


def _reached(one: Written, callers: dict[str, list[Written]]) -> list[Written]:
    """Who calls it, nearest first, itself included; nobody is looked for above a step."""
    found, seen = [one], {one.place}
    for each in found:
        for caller in () if each.is_step else callers.get(each.place, ()):
            if caller.place not in seen:
                seen.add(caller.place)
                found.append(caller)
    return found


def _functions_of(path: Path) -> Iterator[Written]:
    side: Literal["coordinator", "party"] = "party" if {"party", "drift"} & set(path.parts) else "coordinator"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    methods = {
        id(inner): node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name in CREATORS:
            continue
        is_step = any(_name_of(each) in STEPS for each in node.decorator_list)
        in_thread = methods.get(id(node)) == "Publisher"
        place = f".{node.name}" if id(node) in methods else f"{module}.{node.name}"
        made = Written(place, node.name, side, is_step, in_thread)
        keys = _keys_in(node)
        for call in (inner for inner in ast.walk(node) if isinstance(inner, ast.Call)):
            name = _name_of(call.func)
            if effect := _effect_of(call, name, keys):
                made.effects.add(effect)
            bare = isinstance(call.func, ast.Name)
            made.calls.add(imported.get(name, f"{module}.{name}") if bare else f".{name}")
        yield made


def _effect_of(call: ast.Call, name: str, keys: dict[str, ast.Call]) -> str:
    """`create receipt` for a call that writes; empty for any other."""
    if name in CREATORS:
        return f"create {_object_at(call.args[1], keys)}"
    receiver = _name_of(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name in WRITES and receiver.endswith("store"):
        return f"{name} {_object_at(call.args[0], keys)}"
    return ""


def _object_at(key: ast.expr, keys: dict[str, ast.Call]) -> str:
    """What the key holds, in the harness's word: the layout is asked with arguments made up for it."""
    if isinstance(key, ast.Name) and key.id in keys:
        key = keys[key.id]
    made = getattr(layout, _name_of(key.func), None) if isinstance(key, ast.Call) else None
    if made is None or not isinstance(key, ast.Call):
        return UNKNOWN
    parameters = tuple(inspect.signature(made).parameters.values())
    arguments = [each for each in key.args if not isinstance(each, ast.Starred)]
    unpacked = len(parameters) if len(arguments) < len(key.args) else len(arguments)
    given = islice(zip_longest(parameters, arguments), unpacked)
    return object_of(made(*(_made_up(parameter, argument) for parameter, argument in given)))


def _made_up(parameter: inspect.Parameter, argument: ast.expr | None) -> str | int:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    return 1 if parameter.annotation in (int, "int") else parameter.name


def _keys_in(function: ast.FunctionDef) -> dict[str, ast.Call]:
    """Local names that stand for a key, with the call that made it."""
    found: dict[str, ast.Call] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for name, value in pairs:
                if isinstance(name, ast.Name) and isinstance(value, ast.Call):
                    found[name.id] = value
    return found


def _name_of(node: ast.expr) -> str:
    """The last part of a name, an attribute, or a decorator that is called."""
    if isinstance(node, ast.Call):
        return _name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
