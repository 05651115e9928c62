"""How often the release gate lets a candidate pass whose accuracy really changed by so much.

    python -m bench.release_gate [--json] [--margin 0.05] [--disagreement 0.1]

Champion and candidate are right on rows drawn so that they disagree on a given share of all, and that the
candidate's accuracy differs by a given amount: on average. Each draw goes through the gate's own interval.
The row at -margin is the gate's error: a model that is worse by the whole margin and passes. The row at 0 is
its cost: a model that is as good and is refused. numpy alone; the figures depend on no machine.
"""

import argparse
from typing import Any

import numpy as np

from bench.report import emit, environment
from validation.release.paired import accuracy_interval

CHANGES = (0.02, 0.0, -0.02, -0.05, -0.10)
ROWS = (100, 300, 600, 2000)
DRAWS = 1000


def pass_rate(rows: int, change: float, disagreement: float, margin: float, repeats: int, seed: int) -> float:
    """Share of `repeats` candidates that are found not inferior.

    Args:
        rows: of the validation set.
        change: true difference of the accuracies; at most `disagreement` in size.
        disagreement: share of rows on which exactly one of the two is right.
        margin: of the gate.
        repeats: candidates that are drawn.
        seed: of all draws.
    """
    generator = np.random.default_rng(seed)
    won, lost = (disagreement + change) / 2, (disagreement - change) / 2
    counts = generator.multinomial(rows, [lost, won, 1.0 - won - lost], size=repeats)
    lowest = [
        accuracy_interval(int(fell), int(rose), rows, generator, draws=DRAWS).lower
        for fell, rose, _ in counts
    ]
    return float(np.mean(np.array(lowest) >= -margin))


def main() -> None:
    """Parse the arguments, draw, print."""
    arguments = _arguments()
    found = {
        change: {
            rows: pass_rate(
                rows, change, arguments.disagreement, arguments.margin, arguments.repeats, arguments.seed
            )
            for rows in ROWS
        }
        for change in CHANGES
        if abs(change) <= arguments.disagreement
    }
    document: dict[str, Any] = {
        "benchmark": "release-gate",
        "margin": arguments.margin,
        "disagreement": arguments.disagreement,
        "repeats": arguments.repeats,
        "passed": {
            f"{change:+.2f}": {str(rows): round(rate, 3) for rows, rate in rates.items()}
            for change, rates in found.items()
        },
        "environment": environment(),
    }
    table = [["true change", *(f"{rows} rows" for rows in ROWS)]]
    table += [
        [f"{change:+.2f}", *(f"{100 * rate:.1f} %" for rate in rates.values())]
        for change, rates in found.items()
    ]
    emit(document, as_json=arguments.json, table=table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.release_gate", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument(
        "--disagreement", type=float, default=0.1, help="share of rows where one alone is right"
    )
    parser.add_argument("--repeats", type=int, default=2000, help="candidates for each figure")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
