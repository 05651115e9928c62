"""Numbers against their reference: PSI over its quantile bins, KS, Wasserstein, and missing values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validation.drift.columns import Floats, Values, hardly_filled, read_numbers
from validation.drift.distances import distribution_distances, in_spreads, population_stability_index
from validation.drift.findings import Measure
from validation.drift.policy import DriftPolicy
from validation.drift.significance import chi_squared, kolmogorov_smirnov, pool_rare, share_change

MOST_TESTS = 3
ROWS_A_BIN = 40
"""Rows of the reference for each bin: the bounds of emptier ones are too uncertain for chi-squared."""


@dataclass(frozen=True, repr=False)
class NumberProfile:
    """What a reference keeps of a column of numbers, at the party."""

    rows: int
    """Rows with a number."""
    missing: int
    edges: Floats
    """[b - 1] ascending upper edges of the bins, each part of its bin; the last bin has none."""
    counts: NDArray[np.int64]
    """[b] rows of the reference in each bin."""
    sample: Floats
    """[s] numbers of the reference, ascending."""
    spread: float
    """Standard deviation of the reference; 0 for a constant."""
    kind: Literal["number"] = "number"


def profile_numbers(
    name: str, values: Values, policy: DriftPolicy, rng: np.random.Generator
) -> NumberProfile:
    """Keep the bins of a column of numbers, [n], and a sample of it.

    Raises:
        DataRefused: `drift-wrong-type`, `drift-not-finite`, `drift-all-null` or `drift-too-few-values`.
    """
    present, missing = read_numbers(name, values, policy.min_rows)
    return profile_sorted(present, missing, policy, rng)


def profile_sorted(
    present: Floats, missing: int, policy: DriftPolicy, rng: np.random.Generator
) -> NumberProfile:
    """The profile of ascending numbers [n]."""
    edges = quantile_edges(present, min(policy.bins, max(3, len(present) // ROWS_A_BIN)))
    sample = present
    if len(present) > policy.sample_rows:
        sample = np.sort(rng.choice(present, policy.sample_rows, replace=False))
    return NumberProfile(
        rows=len(present),
        missing=missing,
        edges=edges,
        counts=bin_counts(present, edges),
        sample=sample,
        spread=float(present.std()) if present[0] < present[-1] else 0.0,
    )


def measure_numbers(
    name: str, profile: NumberProfile, values: Values, policy: DriftPolicy
) -> tuple[int, list[Measure]]:
    """Hold fresh numbers, [m], against their profile.

    Returns:
        Fresh rows with a number, and the measures `psi`, `ks`, `wasserstein`, and `missing` where a row of
        either side lacks a number; `missing` alone where too few rows have one.

    Raises:
        DataRefused: as `profile_numbers`.
    """
    reference = profile.rows, profile.missing
    if filled := hardly_filled(name, values, policy.min_rows):
        return filled[0], measure_missing(reference, filled, policy)
    present, missing = read_numbers(name, values, policy.min_rows)
    measures = measure_sorted(profile, present, policy)
    return len(present), measures + measure_missing(reference, (len(present), missing), policy)


def measure_sorted(
    profile: NumberProfile, present: Floats, policy: DriftPolicy, prefix: str = ""
) -> list[Measure]:
    """PSI, KS and Wasserstein of ascending numbers [m]; `prefix` is put before each name."""
    cells = pool_rare(profile.counts, bin_counts(present, profile.edges))
    statistic, p_bins = chi_squared(*cells, policy.design_effect)
    psi = population_stability_index(*cells)
    ks, distance = distribution_distances(profile.sample, present)
    rows = len(profile.sample) / policy.design_effect, len(present) / policy.design_effect
    p_ks = kolmogorov_smirnov(ks, *rows)
    spread = profile.spread or float(np.concatenate([profile.sample, present]).std())
    moved = in_spreads(distance, spread)
    binned, ordered = f"{prefix}chi_squared", f"{prefix}kolmogorov_smirnov"
    return [
        Measure(f"{prefix}psi", binned, statistic, p_bins, psi, policy.psi),
        Measure(f"{prefix}ks", ordered, ks, p_ks, ks, policy.ks),
        Measure(f"{prefix}wasserstein", ordered, ks, p_ks, moved, policy.wasserstein),
    ]


def measure_missing(reference: tuple[int, int], fresh: tuple[int, int], policy: DriftPolicy) -> list[Measure]:
    """Change of the share of missing values, from (present, missing) rows; nothing where none is missing."""
    (present, missing), (fresh_present, fresh_missing) = reference, fresh
    if missing + fresh_missing == 0:
        return []
    rows, fresh_rows = present + missing, fresh_present + fresh_missing
    change = fresh_missing / fresh_rows - missing / rows
    worth = [round(count / policy.design_effect) for count in (missing, rows, fresh_missing, fresh_rows)]
    p = share_change(*worth)
    return [Measure("missing", "fisher_missing", change, p, abs(change), policy.missing)]


def quantile_edges(present: Floats, bins: int) -> Floats:
    """Upper edges of about equally full bins of ascending numbers, [e].

    A number that fills a bin or more by itself gets a bin of its own, so that what lies just below it is
    not counted with it; a constant therefore has three bins: below, equal, above.
    """
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    places = np.ceil(inner * len(present)).astype(np.int64) - 1
    edges, repeats = np.unique(present[places], return_counts=True)
    atoms = edges[repeats > 1]
    return np.union1d(edges, np.nextafter(atoms, -np.inf))


def bin_counts(present: Floats, edges: Floats) -> NDArray[np.int64]:
    """Rows of ascending numbers in each bin, [e + 1]."""
    ends = np.searchsorted(present, edges, side="right")
    return np.diff(np.concatenate([[0], ends, [len(present)]])).astype(np.int64)
