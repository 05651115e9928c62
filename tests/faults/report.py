"""What a campaign comes to: a table for people, `faults.json` for programs."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.cases import Case
from tests.faults.points import ACTIONS, Point
from tests.faults.rows import Row
from tests.faults.written import writes_in_code

console = Console(width=150)
WAYS = (*ACTIONS, "clock")


def document_of(
    rows: Sequence[Row], passed_points: Iterable[Point], seconds: float, *, everything: bool = True
) -> dict[str, Any]:
    """`cases` are distinct and fired; `never_reached` were ordered, and the run ended before.

    `uncovered_writes` are all that the code has and no case stood at, whichever run would pass them;
    `missed_writes` are those of the runs that were played, at which one was to stand.

    Args:
        rows: of all cases that were played.
        passed_points: of the runs without a fault.
        seconds: how long it took.
        everything: whether every case was to be played. Else writes at which none was begun are no gap.
    """
    fired = [row for row in rows if row.fired]
    covered = [row.case for row in fired]
    begun = {row.case.point for row in rows}
    points = set(passed_points)
    open_writes = uncovered_writes([], [] if everything else points - begun)
    return {
        "cases": len(fired),
        "survived": sum(row.survived for row in fired),
        "equal_hash": sum(row.equal_hash for row in fired),
        "proved": sum(row.happened for row in fired),
        "missed_writes": uncovered_writes(covered, points if everything else points & begun),
        "uncovered_writes": uncovered_writes(covered, points | writes_in_code()),
        "writes_not_chosen": open_writes,
        "never_reached": [row.case.name for row in rows if not row.fired],
        "seconds": round(seconds, 1),
        "rows": [row.document() for row in rows],
    }


def uncovered_writes(cases: Iterable[Case], passed_points: Iterable[Point]) -> list[str]:
    """Those of these points that write, and that no case stood before or after."""
    covered = {case.point for case in cases}
    return sorted(f"{p.side} · {p}" for p in passed_points if p.writes and p not in covered)


def write_document(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def print_row(row: Row) -> None:
    """One line as soon as a case is over."""
    word = "ok    " if row.passed else "FAILED"
    console.print(f"{word} {row.seconds:6.1f} s  {row.case.name}  {row.why}", highlight=False, markup=False)


def print_table(rows: Sequence[Row]) -> None:
    """One line a point: how its cases went, and how long they took."""
    table = Table(title="Faults", title_justify="left", box=SIMPLE_HEAD, header_style="bold")
    for name in ("side", "step", "effect"):
        table.add_column(name)
    for name in (*WAYS, "survived", "equal hash", "slowest, s"):
        table.add_column(name, justify="right")
    points = list(dict.fromkeys(row.case.point for row in rows))
    for point in points:
        mine = [row for row in rows if row.case.point == point]
        fired = [row for row in mine if row.fired]
        ways = [sum(row.case.action == action for row in fired) for action in WAYS]
        table.add_row(
            point.side,
            point.step,
            point.effect or "–",
            *map(str, ways),
            f"{sum(row.survived for row in fired)}/{len(fired)}",
            f"{sum(row.equal_hash for row in fired)}/{len(fired)}",
            f"{max(row.seconds for row in mine):.1f}",
        )
    console.print(table)
