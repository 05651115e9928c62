"""docs/errors.md names every code that the code gives, and no other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from fedmodels.protocol.reserved import COORDINATOR_CODES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "tasks", "fedmodels", "validation", "infra")
PAGE = ROOT / "docs" / "errors.md"
NAMED = {"code", "default_code"}
"""What holds a code, wherever it stands: an argument, a parameter, a variable, a key of a document."""

Trees = dict[str, ast.Module]


def trees() -> Trees:
    """The product's modules by their dotted names."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
    }


def constants(modules: Trees) -> dict[str, dict[str, str]]:
    """Module to its strings by name, those that it imports by name included."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module, tree in modules.items():
        for name, value in (pair for node in tree.body for pair in assigned(node)):
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[module][name] = value.value
    for module, tree in modules.items():
        for node in ast.walk(tree):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if alias.name in found.get(getattr(node, "module", None) or "", {}):
                    found[module][alias.asname or alias.name] = found[node.module][alias.name]
    return found


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that are given a value, with it; of `code, reason = "late", "…"` each with its own."""
    if isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        targets: list[ast.expr] = [node.target]
    else:
        targets = node.targets if isinstance(node, ast.Assign) else []
    for target in targets:
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def positions(modules: Trees) -> dict[str, int]:
    """Function to the place of its parameter `code`, without `self`."""
    found = {}
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                found.update({node.name: names.index("code")} if "code" in names else {})
    return found


def places(tree: ast.Module, at: dict[str, int]) -> Iterator[ast.expr]:
    """Expressions whose value is a code."""
    for node in ast.walk(tree):
        yield from (value for name, value in assigned(node) if name in NAMED)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in NAMED:
                    yield value
        if isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg in NAMED)
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            if name in at and at[name] < len(node.args):
                yield node.args[at[name]]


def values(place: ast.expr, known: dict[str, str]) -> Iterator[str]:
    """Codes that an expression can stand for, as far as its text says so; `*` for what is made up."""
    match place:
        case ast.Constant(value=str(code)) if code:
            yield code
        case ast.Name(id=name) if name in known:
            yield known[name]
        case ast.IfExp(body=one, orelse=other):
            yield from (*values(one, known), *values(other, known))
        case ast.BoolOp(values=several):
            yield from (code for one in several for code in values(one, known))
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in parts)


def codes_in(modules: Trees) -> set[str]:
    known, at = constants(modules), positions(modules)
    return {
        code
        for module, tree in modules.items()
        for place in places(tree, at)
        for code in values(place, known[module])
    }


def documented(page: str) -> set[str]:
    """The codes of the first column of each table."""
    rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row)}


def test_codes_are_found_wherever_they_stand():
    module = ast.parse(
        "from other import GONE\n"
        "FIRST, SECOND = 'one', 'two'\n"
        "def refuse(what, code): raise Error(what, code=code)\n"
        "refuse('x', 'three')\n"
        "Error('x', code=FIRST if x else GONE)\n"
        "code, reason = said or 'four', ''\n"
        "class E:\n    default_code: str = 'five'\n"
        "print({'code': 'six'}, Error('x', code=f'{step}-failed'))\n"
        "unrelated = 'seven'\n"
    )
    found = codes_in({"this": module, "other": ast.parse("GONE = 'gone'")})
    assert found == {"one", "gone", "three", "four", "five", "six", "*-failed"}
    assert documented("| code | when |\n| --- | --- |\n| `a`, `b-c` | see `d` |\n") == {"a", "b-c"}


def test_every_code_stands_in_the_page_of_codes():
    found, told = codes_in(trees()), documented(PAGE.read_text(encoding="utf-8"))
    made_up = {code for code in found if "*" in code}
    assert sorted((found - made_up | COORDINATOR_CODES) - told) == []
    assert made_up == {"*-failed", "release-*"}, "the page has to say what these can be"
    assert {"STEP-failed", "release-refused", "release-rejected"} <= told


def test_no_code_stands_there_that_nothing_gives():
    told = documented(PAGE.read_text(encoding="utf-8"))
    made_up = {"STEP-failed", "release-rejected"}
    assert sorted(told - codes_in(trees()) - COORDINATOR_CODES - made_up) == []
