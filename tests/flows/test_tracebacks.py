"""Every flow keeps tracebacks on its machine: they name its files, and Prefect keeps what it is sent."""

from pathlib import Path

import pytest

FLOWS = Path(__file__).resolve().parents[2] / "flows"
MODULES = sorted(path for path in FLOWS.glob("*.py") if "\n@flow(" in path.read_text(encoding="utf-8"))


def test_there_are_flows():
    assert len(MODULES) > 5


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_a_flow_silences_tracebacks(module):
    assert "    silence_tracebacks()\n" in module.read_text(encoding="utf-8")
