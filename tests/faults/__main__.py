"""`make faults`: every point × kill, hang, error × before, after, and wrong clocks; a table and a document.

Fails when a case does not pass, when none was played, or when no case stood at a write that was to be hit.
Lists the writes of the code that stay uncovered, which no run that it plays passes. SIGINT or SIGTERM ends
it: the stack is stopped, and the report says what was played.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.faultless import Lane
from tests.faults.playing import Stopped
from tests.faults.report import console, document_of, print_row, print_table, write_document
from tests.faults.runner import FIRST_SEED, Runner
from tests.faults.scenes import SCENES
from tests.faults.stack import firing_range

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""Exit status of a program that was interrupted."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--lanes", type=int, default=4, help="cases side by side (default: 4)")
    parser.add_argument(
        "--only",
        default="",
        help="play cases whose name holds this, e.g. 'create record', or 'swap HEAD|swap lease'",
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no case after that long")
    parser.add_argument("--together", type=int, default=1, help="cases that share a run (default: 1)")
    parser.add_argument("--list", action="store_true", help="list the cases and play none")
    parser.add_argument("--report", type=Path, default=Path(".fedcart/reports/faults.json"))
    parser.add_argument("--folder", type=Path, help="a folder for the stack, which is kept")
    chosen = parser.parse_args()
    os.environ.update(DO_NOT_TRACK="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    for number in SIGNALS:
        signal.signal(number, interrupt)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # Prefect's database waits for the disk often
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory) as scratch:
        return campaign(chosen, chosen.folder or Path(scratch))


def interrupt(*_: object) -> None:
    """End as on KeyboardInterrupt; a second signal must not break off what stops the stack."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def campaign(chosen: argparse.Namespace, folder: Path) -> int:
    begin = time.monotonic()
    with firing_range(folder) as place:
        runner = Runner(place, [Lane(FIRST_SEED + number) for number in range(chosen.lanes)])
        for number in SIGNALS:  # from here on there is something to report, and the stack to be stopped
            signal.signal(number, lambda *_: runner.stopping.set())
        with suppress(Stopped):
            runner.survey(SCENES)
        cases = [case for case in runner.cases() if any(part in case.name for part in chosen.only.split("|"))]
        console.print(f"{len(cases)} cases at {len(runner.all_points)} points")
        if chosen.list:
            for case in cases:
                console.print(case.name, markup=False)
            return 0
        rows = runner.play_all(cases, print_row, until=begin + 60 * chosen.minutes, together=chosen.together)
        document = document_of(
            rows,
            runner.all_points,
            time.monotonic() - begin,
            everything=not (chosen.only or runner.stopping.is_set()) and math.isinf(chosen.minutes),
        )
    print_table(rows)
    write_document(chosen.report, document)
    figures = {name: document[name] for name in ("cases", "survived", "equal_hash", "proved", "seconds")}
    console.print("  ".join(f"{name} {value}" for name, value in figures.items()))
    console.print(f"missed writes: {', '.join(document['missed_writes']) or 'none'}")
    console.print(f"uncovered writes: {', '.join(document['uncovered_writes']) or 'none'}")
    if document["writes_not_chosen"]:
        console.print(f"not chosen: {', '.join(document['writes_not_chosen'])}")
    for name in document["never_reached"]:
        console.print(f"never reached: {name}", markup=False)
    if runner.stopping.is_set():
        console.print("stopped by a signal: cases under way are not in the report")
        return INTERRUPTED
    passed = bool(document["cases"]) and all(row.passed for row in rows if row.fired)
    return 0 if passed and not document["missed_writes"] else 1


if __name__ == "__main__":
    sys.exit(main())
