"""Drift detection: false alarms, false retrainings in 30 days, what is found, and its seconds.

    python -m bench.drift [--json] [--plot drift.png] [--draws 1000] [--repeats 100] [--months 3]

Rows are drawn from the worlds of `bench/drift_data.py`, so what has changed is known. Each check takes the
way of a party's: its reference is made of old rows whose text no other has, and of the fresh ones those count
whose text is not among the old ones (`fedmodels/data/recurring.py`). False alarms: new old rows and new fresh
ones for each draw, from a shop whose texts hardly recur and from one in which 30 % are one of 400 stock
phrases, at the default bounds, and once more by significance alone, where the rate should be the nominal 1 %.
Retrainings: an hourly check for 30 days against one reference, each hour over its own rows, and over a
sliding window of the last day; whoever is alarmed starts afresh with a new reference. Detection: each shift
of the table, at several numbers of rows, and whether its feature was named; once more at the design effect of
the recipes that come with fedcart, where four rows count as one. Seconds: 100,000 rows against 100,000,
without embeddings, median of five.

The exit status is 1 when a figure misses what is promised (`PROMISED`), and a sentence on stderr says which.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.drift_data import (
    CHATTY,
    KINDS,
    SHIFTS,
    World,
    draw_rows,
    joined,
    last_rows,
    new_rows,
    own_rows,
    texts_of,
    without_embeddings,
)
from bench.report import emit, environment, plot_bars
from fedmodels.training.seeds import derive_seed
from validation.drift.columns import Values
from validation.drift.comparing import compare
from validation.drift.findings import DriftReport
from validation.drift.persistence import PastCheck, PersistencePolicy, persistent_drift
from validation.drift.policy import DriftPolicy
from validation.drift.reference import Reference, build_reference

POLICY = DriftPolicy()
PERSISTENCE = PersistencePolicy()
ROWS = (200, 500, 1000)
"""Fresh rows; there are twice as many old ones."""
DESIGN_EFFECT = 4.0
"""Of `recipes/reviews.yaml`."""
GROUPED_ROWS = (500, 1000, 2000)
"""Fresh rows of which so many are worth one."""
WORLDS = {"usual": World(), "stock phrases": CHATTY}
"""In which nothing changes."""
HOURLY_ROWS = {"own rows": (200, 1), "last day": (20, 24)}
"""Rows that come each hour, and hours that a check looks back."""
TIMED_REPEATS = 5
PROMISED: Mapping[str, float] = {
    "false_alarms": 0.05,
    "false_retrainings": 1,
    "detection": 0.95,
    "detection_from_rows": 500,
    "detection_of_grouped_rows_from": 1000,
    "seconds": 1.0,
}
"""At most that share of checks without a change, and so many retrainings a month; of draws of each shift at
least that share, from so many fresh rows; and the seconds of wall clock of a check stay below that."""


def main() -> None:
    """Parse the arguments, measure, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--draws", type=int, default=1000, help="draws of the false alarms")
    parser.add_argument("--repeats", type=int, default=100, help="draws of each shift")
    parser.add_argument("--months", type=int, default=3, help="simulated months of hourly checks")
    parser.add_argument("--hours", type=int, default=720, help="hours of a month")
    parser.add_argument("--timed-rows", type=int, default=100_000, help="rows of which seconds are taken")
    parser.add_argument("--plot", type=Path, help="draw the detection rates into this PNG or SVG file")
    arguments = parser.parse_args()
    begun = time.process_time()
    document: dict[str, Any] = {
        "benchmark": "drift",
        "draws": arguments.draws,
        "repeats": arguments.repeats,
        "false_alarms": {
            name: {str(rows): false_alarms(world, rows, arguments.draws) for rows in ROWS}
            for name, world in WORLDS.items()
        },
        "false_retrainings": {
            name: false_retrainings(name, arguments.months, arguments.hours) for name in HOURLY_ROWS
        },
        "detection": {
            shift: {str(rows): detection(shift, rows, arguments.repeats) for rows in ROWS} for shift in SHIFTS
        },
        "design_effect": DESIGN_EFFECT,
        "detection_of_grouped_rows": {
            shift: {
                str(rows): detection(shift, rows, arguments.repeats, DriftPolicy(design_effect=DESIGN_EFFECT))
                for rows in GROUPED_ROWS
            }
            for shift in SHIFTS
        },
        "seconds": seconds(arguments.timed_rows, TIMED_REPEATS),
        "timed_rows": arguments.timed_rows,
    }
    document |= {"cpu_seconds_in_all": round(time.process_time() - begun, 1), "environment": environment()}
    if arguments.plot:
        fewest = str(ROWS[0])  # with more, all bars are full
        bars = {shift: 100 * found[fewest] for shift, found in document["detection"].items()}
        plot_bars(arguments.plot, f"Shifts found with {fewest} fresh rows", "%", bars)
    emit(document, as_json=arguments.json, table=_table(document))
    if missed := promises_missed(document):
        sys.stderr.write("".join(f"{sentence}\n" for sentence in missed))
        sys.exit(1)


def promises_missed(document: Mapping[str, Any]) -> list[str]:
    """A sentence for each figure of the document that misses its promise."""
    return [f"promise missed: {sentence}" for sentence in (*_too_many(document), *_too_few(document))]


def _too_many(document: Mapping[str, Any]) -> Iterator[str]:
    most = PROMISED["false_alarms"]
    for world, alarms in document["false_alarms"].items():
        for rows, alarm in alarms.items():
            rate = alarm["rate"]
            if rate > most:
                yield f"false alarms, {world}, {rows} rows: {rate:.1%}, and at most {most:.0%} is promised"
    for name, months in document["false_retrainings"].items():
        worst = max(months["as_judged"])
        if worst > PROMISED["false_retrainings"]:
            yield f"false retrainings, {name}: {worst} in a month, and at most one is promised"
    check = document["seconds"]["check_wall"]
    if check >= PROMISED["seconds"]:
        yield f"the check took {check:.2f} s, and less than {PROMISED['seconds']:g} s is promised"


def _too_few(document: Mapping[str, Any]) -> Iterator[str]:
    least = PROMISED["detection"]
    promised_from = {
        "detection": PROMISED["detection_from_rows"],
        "detection_of_grouped_rows": PROMISED["detection_of_grouped_rows_from"],
    }
    for table, fewest in promised_from.items():
        for shift, found in document[table].items():
            for rows, share in found.items():
                if int(rows) >= fewest and share < least:
                    where = f"{table.replace('_', ' ')}, {shift}, {rows} rows"
                    yield f"{where}: {share:.0%}, and at least {least:.0%} is promised"


def false_alarms(world: World, rows: int, draws: int) -> dict[str, float]:
    """Share of checks that name a feature though nothing has changed: as judged, and by p-values alone."""
    reports = [
        _check(world, world, rows, derive_seed("false alarms", rows, draw), POLICY) for draw in range(draws)
    ]
    return {
        "rate": float(np.mean([report.drifted for report in reports])),
        "significant": float(np.mean([bool(_significant(report)) for report in reports])),
    }


def detection(shift: str, rows: int, repeats: int, policy: DriftPolicy = POLICY) -> float:
    """Share of draws in which the feature that a shift changes is named."""
    feature, world = SHIFTS[shift]
    reports = [
        _check(World(), world, rows, derive_seed(shift, rows, draw), policy) for draw in range(repeats)
    ]
    return float(np.mean([feature in report.drifted_features for report in reports]))


def false_retrainings(name: str, months: int, hours: int) -> dict[str, Any]:
    """Retrainings in each of some months of hourly checks in which nothing changes."""
    counts = [_month(name, month, hours) for month in range(months)]
    judged, significant = ([count[which] for count in counts] for which in (0, 1))
    return {"as_judged": judged, "by_significance_alone": significant, "checks": hours}


def seconds(rows: int, repeats: int) -> dict[str, float]:
    """Seconds of processor and of wall clock for the profile and for the check of `rows` rows."""
    rng = np.random.default_rng(1)
    kept, fresh = (without_embeddings(draw_rows(World(), rows, rng)) for _ in range(2))
    kinds = {name: kind for name, kind in KINDS.items() if name in kept}
    taken: dict[str, list[float]] = {}
    for _ in range(repeats):
        reference = _timed(taken, "reference", partial(build_reference, kept, kinds, POLICY, rng))
        _timed(taken, "check", partial(compare, reference, fresh, POLICY, rng))
    return {name: round(median(runs), 3) for name, runs in taken.items()}


def _check(old: World, new: World, rows: int, seed: int, policy: DriftPolicy) -> DriftReport:
    rng = np.random.default_rng(seed)
    reference, met = _reference(old, 2 * rows, rng, policy)
    return compare(reference, new_rows(draw_rows(new, rows, rng), met), policy, rng)


def _reference(
    world: World, rows: int, rng: np.random.Generator, policy: DriftPolicy = POLICY
) -> tuple[Reference, frozenset[str]]:
    """What old rows are held against, and every text of theirs."""
    old = draw_rows(world, rows, rng)
    return build_reference(own_rows(old), KINDS, policy, rng), texts_of(old)


def _significant(report: DriftReport) -> tuple[str, ...]:
    return tuple(
        finding.feature
        for finding in report.findings
        if any(measure.adjusted_p < report.alpha for measure in finding.measures)
    )


def _month(name: str, month: int, month_hours: int) -> tuple[int, int]:
    """Retrainings of one month: as judged, and those that significance alone would have started."""
    hourly, hours = HOURLY_ROWS[name]
    rng = np.random.default_rng(derive_seed(name, month))
    window: dict[str, Values] = draw_rows(World(), hourly * hours, rng)
    reference, met = _reference(World(), 2000, rng)
    retrainings = [0, 0]
    checks: tuple[list[PastCheck], list[PastCheck]] = ([], [])
    for hour in range(month_hours):
        window = last_rows(joined(window, draw_rows(World(), hourly, rng)), hourly * hours)
        report = compare(reference, new_rows(window, met), POLICY, rng)
        for which, drifted in enumerate((report.drifted_features, _significant(report))):
            checks[which].append(PastCheck(str(retrainings[which]), np.arange(hour - hours, hour), drifted))
            if persistent_drift(checks[which], PERSISTENCE):
                retrainings[which] += 1
                reference, met = _reference(World(), 2000, rng)
    return retrainings[0], retrainings[1]


def _timed(taken: dict[str, list[float]], name: str, work: Callable[[], Any]) -> Any:
    cpu, wall = time.process_time(), time.perf_counter()
    made = work()
    taken.setdefault(f"{name}_cpu", []).append(time.process_time() - cpu)
    taken.setdefault(f"{name}_wall", []).append(time.perf_counter() - wall)
    return made


def _table(document: dict[str, Any]) -> list[list[str]]:
    table = [["measured", *(f"{rows} rows" for rows in ROWS)]]
    for world, alarms in document["false_alarms"].items():
        for key, words in (("rate", "as judged"), ("significant", "by significance alone")):
            figures = [f"{100 * alarms[str(rows)][key]:.1f} %" for rows in ROWS]
            table.append([f"false alarms, {world}, {words}", *figures])
    for shift, found in document["detection"].items():
        table.append([f"found: {shift}", *(f"{100 * found[str(rows)]:.0f} %" for rows in ROWS)])
    table.append([f"design effect {document['design_effect']:g}", *(f"{rows} rows" for rows in GROUPED_ROWS)])
    for shift, found in document["detection_of_grouped_rows"].items():
        table.append([f"found: {shift}", *(f"{100 * found[str(rows)]:.0f} %" for rows in GROUPED_ROWS)])
    for name, months in document["false_retrainings"].items():
        for key in ("as_judged", "by_significance_alone"):
            each = ", ".join(map(str, months[key]))
            table.append([f"false retrainings a month, {name}, {key.replace('_', ' ')}", each])
    for name, taken in document["seconds"].items():
        table.append(
            [f"seconds for {document['timed_rows']} rows: {name.replace('_', ', ')}", f"{taken:.3f}"]
        )
    return [[*row, *[""] * (len(table[0]) - len(row))] for row in table]


if __name__ == "__main__":
    main()
