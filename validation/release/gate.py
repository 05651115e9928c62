"""The release gate: every check of a candidate, in the order in which a person reads them. Pure."""

from collections.abc import Iterable

import numpy as np

from fedmodels.protocol.releases import ReleaseCheck
from fedmodels.recipe import ReleaseGate
from validation.release.checks import (
    check,
    check_accuracy,
    check_calibration,
    check_cost,
    check_loss,
    check_slices,
    report_cut,
    report_holdout,
)
from validation.release.evidence import Evidence
from validation.release.parties import check_contracts, check_parties


def release_checks(
    gate: ReleaseGate,
    evidence: Evidence,
    generator: np.random.Generator,
    further: Iterable[ReleaseCheck] = (),
) -> tuple[ReleaseCheck, ...]:
    """All checks of a release; it passes when none of them failed.

    Args:
        gate: the recipe's bounds.
        evidence: what was measured.
        generator: draws the bootstrap samples; the same seed gives the same checks.
        further: checks that others made, of a privacy budget or of lineage say, under names of their own.

    Raises:
        ValueError: two checks have the same name.
    """
    checks = (*_own_checks(gate, evidence, generator), *further)
    names = [found.name for found in checks]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"checks of the same name: {', '.join(twice)}")
    return checks


def _own_checks(
    gate: ReleaseGate, evidence: Evidence, generator: np.random.Generator
) -> Iterable[ReleaseCheck]:
    candidate = evidence.candidate
    if candidate is None:
        fact = "The candidate has no finite scores on validation"
        yield check("accuracy", None, gate.min_accuracy, "failed", fact)
    else:
        yield from check_accuracy(gate, candidate, evidence, generator)
        yield from check_loss(gate, candidate, evidence.champion, generator)
        yield from check_slices(gate, candidate, evidence, generator)
        yield check_calibration(gate, candidate)
    yield from check_parties(gate, evidence.parties, evidence.champion_release)
    yield check_contracts(gate, evidence.contracts)
    yield from check_cost(gate, evidence)
    yield from report_cut(evidence)
    yield report_holdout(evidence.holdout)
