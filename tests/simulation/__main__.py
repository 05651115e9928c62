"""Play seeds by hand: python -m tests.simulation --seed 7 --trace, or --seeds 10000.

A failing seed is printed with its invariant; played again with --trace it tells the same story.
"""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.invariants import Broken
from tests.simulation.simulation import Simulation


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--trace", action="store_true", help="tell what happens")
    arguments = parser.parse_args()
    began, events, broken = time.process_time(), 0, 0
    seen: Counter[str] = Counter()
    codes: set[str] = set()
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        simulation = Simulation(seed, trace=arguments.trace)
        try:
            outcome = simulation.run()
        except Broken as fault:
            broken += 1
            print(f"seed {seed}: {fault}\n  python -m tests.simulation --seed {seed} --trace")
        else:
            codes |= outcome.codes
            seen[outcome.status] += 1
            seen["salvaged updates"] += outcome.salvaged
            seen["resumes"] += outcome.coordinators - 1
            seen["rounds"] += outcome.rounds
        events += simulation.events
        if arguments.trace:
            print("\n".join(simulation.story or []))
    seconds = time.process_time() - began
    print(
        f"{arguments.seeds} seeds, {events} events in {seconds:.1f} s of processor time "
        f"({events / seconds:,.0f} a second), {broken} broken\n"
        f"{dict(sorted(seen.items()))}\nrefusals: {', '.join(sorted(codes))}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
