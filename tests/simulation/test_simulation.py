"""Ten thousand runs, each with its own faults, races and hostile parties: no invariant is broken.

A failing seed is printed; `python -m tests.simulation --seed N --trace` tells its story again.
"""

import os
import subprocess
import sys
from collections import Counter
from functools import cache

import pytest

from tests.simulation.invariants import Broken
from tests.simulation.simulation import Outcome, Simulation

SEEDS, BLOCKS = 10_000, 10
MUST_BE_SEEN = {
    *("late", "late-after-resume", "session-died", "duplicate", "changed-since", "table-empty"),
    *("policy-forbids", "object-damaged"),
    *("receipt-malformed", "signature-invalid", "wrong-run", "wrong-round", "wrong-base", "wrong-plan"),
    *("examples-implausible", "update-missing", "update-hash-mismatch", "update-not-finite"),
}


@cache
def played(block: int) -> tuple[Outcome, ...]:
    seeds = range(block * SEEDS // BLOCKS, (block + 1) * SEEDS // BLOCKS)
    return tuple(_play(seed) for seed in seeds)


def _play(seed: int) -> Outcome:
    try:
        return Simulation(seed).run()
    except Broken as fault:
        raise AssertionError(f"{fault}; see python -m tests.simulation --seed {seed} --trace") from None


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_invariant_is_broken(block):
    assert len(played(block)) == SEEDS // BLOCKS


def test_the_seeds_have_seen_every_end_and_every_code():
    outcomes = played(0)
    ends = Counter(outcome.status for outcome in outcomes)
    assert all(ends[status] >= 20 for status in ("finished", "failed", "cancelled", "stopped")), ends
    assert set().union(*(outcome.codes for outcome in outcomes)) >= MUST_BE_SEEN
    assert sum(outcome.salvaged for outcome in outcomes) > 50
    assert sum(outcome.votes for outcome in outcomes) > 300
    assert sum(outcome.damaged for outcome in outcomes) > 300
    assert sum(outcome.stops_for_damage for outcome in outcomes) > 50
    assert sum(outcome.coordinators - 1 for outcome in outcomes) > 300, "few coordinators were replaced"


def test_a_seed_replays_exactly():
    assert story(4711, "1") == story(4711, "2") != story(4712, "1")


def story(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--trace"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.split(" of processor time")[0].rpartition("\n")[0]
