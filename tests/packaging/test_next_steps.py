"""What fedcart tells people to run is there: each command that an error, or a note, names exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "fedmodels", "validation", "infra")
NAMED = re.compile(r"(?<!install )\bfedcart ([a-z]+)(?: ([a-z]+))?")
ADVICE = re.compile(rf"(?:\b(?:run|see|with|by|or|then|try) |\(){NAMED.pattern}")
"""In a text that is no error's next step: what stands after a word that asks for it."""


def commands(group: Any) -> set[str]:
    found = set()
    for name, command in group.commands.items():
        found |= {f"{name} {sub}" for sub in command.commands} if hasattr(command, "commands") else {name}
    return found


COMMANDS = commands(typer.main.get_command(app))
GROUPS = {command.split()[0] for command in COMMANDS if " " in command}


def words(source: str) -> Iterator[tuple[str, bool]]:
    """All text of a module but its docstrings, with whether it is an error's next step."""
    tree = ast.parse(source)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    fixes = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "fix"]
    in_fix = {id(node) for fix in fixes for node in ast.walk(fix)}
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value, id(node) in in_fix


def advised(source: str) -> set[str]:
    found = set()
    for text, is_fix in words(source):
        for first, second in (NAMED if is_fix else ADVICE).findall(text):
            found.add(f"{first} {second}" if first in GROUPS else first)
    return found


FOUND = {
    (str(path.relative_to(ROOT)), command)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    for command in advised(path.read_text(encoding="utf-8"))
}


def test_what_is_looked_for_is_found():
    assert {command for _, command in FOUND} >= {
        "up",
        "doctor",
        "train",
        "status",
        "runs list",
        "data prepare",
    }
    assert advised('raise E("no", fix="make one, fedcart dance says how")') == {"dance"}
    assert advised('say("a table; run fedcart data dance")') == {"data dance"}
    assert advised('"""A docstring may run fedcart dance."""') == set()


@pytest.mark.parametrize(("file", "command"), sorted(FOUND))
def test_a_command_that_is_advised_exists(file, command):
    assert command in COMMANDS
