"""The checker can fail: every deliberate fault of the protocol is found, by the invariant it breaks."""

import pytest

from tests.simulation.invariants import NAMES, Broken
from tests.simulation.mutations import MUTATIONS, applied
from tests.simulation.simulation import Simulation

MOST_SEEDS = 600


def first_fault() -> Broken | None:
    for seed in range(MOST_SEEDS):
        try:
            Simulation(seed).run()
        except Broken as fault:
            return fault
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_protocol_is_caught(mutation):
    with applied(mutation):
        fault = first_fault()
    assert fault is not None, f"{MOST_SEEDS} seeds did not notice"
    assert fault.name in mutation.caught_by, fault


def test_every_invariant_has_a_mutation():
    assert {name for mutation in MUTATIONS for name in mutation.caught_by} == set(NAMES)
