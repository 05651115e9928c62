"""Every flow drops tracebacks before it does anything: they name files, and Prefect keeps what it is sent."""

import ast
from pathlib import Path

import pytest

FLOWS = Path(__file__).resolve().parents[2] / "flows"


def flows() -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions that are decorated with `@flow(...)`, by module and name."""
    return {
        f"{path.stem}.{node.name}": node
        for path in sorted(FLOWS.glob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(ast.unparse(each).startswith("flow(") for each in node.decorator_list)
    }


def test_there_are_flows():
    assert len(flows()) > 5


@pytest.mark.parametrize("name", flows())
def test_a_flow_silences_tracebacks_first(name):
    first = next(node for node in flows()[name].body if not isinstance(node, ast.Expr) or not is_text(node))
    assert ast.unparse(first) == "silence_tracebacks()"


def is_text(node: ast.Expr) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
