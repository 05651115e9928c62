"""Categories and labels against their reference: PSI, chi-squared, new categories, the label mix."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fedmodels.errors import DataRefused
from validation.drift.columns import Values, hardly_filled, read_categories
from validation.drift.distances import population_stability_index, total_variation
from validation.drift.findings import Measure
from validation.drift.numbers import measure_missing
from validation.drift.policy import DriftPolicy
from validation.drift.significance import chi_squared, pool_rare, share_rise

MOST_TESTS = 3


@dataclass(frozen=True, repr=False)
class CategoryProfile:
    """What a reference keeps of a column of categories or labels, at the party."""

    rows: int
    """Rows with a category."""
    missing: int
    type_name: str
    """Type that every value has: `str`, `bool` or `int`."""
    counts: tuple[tuple[str, int], ...]
    """Rows of each category, by name."""
    kind: Literal["category", "label"] = "category"


def profile_categories(
    name: str, values: Values, policy: DriftPolicy, kind: Literal["category", "label"] = "category"
) -> CategoryProfile:
    """Keep the counts of a column of categories, [n].

    Raises:
        DataRefused: `drift-wrong-type`, `drift-all-null` or `drift-too-few-values`.
    """
    read = read_categories(name, values, policy.min_rows)
    counts = tuple(sorted(read.counts.items()))
    return CategoryProfile(read.counts.total(), read.missing, read.type_name, counts, kind)


def measure_categories(
    name: str, profile: CategoryProfile, values: Values, policy: DriftPolicy
) -> tuple[int, list[Measure]]:
    """Hold fresh categories, [m], against their profile.

    Categories too rare for chi-squared are pooled by their totals over both sides, new ones too.

    Returns:
        Fresh rows with a category, and the measures `psi` (for a label `label_shift`), `new_category`, and
        `missing` where a row of either side lacks a category; `missing` alone where too few rows have one.

    Raises:
        DataRefused: as `profile_categories`, or the type is not the reference's (`drift-wrong-type`).
    """
    reference = profile.rows, profile.missing
    if filled := hardly_filled(name, values, policy.min_rows):
        return filled[0], measure_missing(reference, filled, policy)
    read = read_categories(name, values, policy.min_rows)
    if read.type_name != profile.type_name:
        raise DataRefused(
            f"Feature {name} holds {read.type_name}, and its reference {profile.type_name}",
            fix="correct the column or build a new reference",
            code="drift-wrong-type",
        )
    known = dict(profile.counts)
    fresh_rows = read.counts.total()
    names = [*known, *(read.counts.keys() - known.keys())]
    cells = pool_rare(
        np.fromiter((known.get(each, 0) for each in names), np.int64, len(names)),
        np.fromiter((read.counts[each] for each in names), np.int64, len(names)),
    )
    statistic, p = chi_squared(*cells, policy.design_effect)
    if profile.kind == "label":
        mix = Measure("label_shift", "chi_squared", statistic, p, total_variation(*cells), policy.label_shift)
    else:
        mix = Measure("psi", "chi_squared", statistic, p, population_stability_index(*cells), policy.psi)
    new = sum(rows for each, rows in read.counts.items() if each not in known)
    measures = [mix, _measure_new(profile, new, fresh_rows, policy)]
    return fresh_rows, measures + measure_missing(reference, (fresh_rows, read.missing), policy)


def _measure_new(profile: CategoryProfile, new: int, fresh_rows: int, policy: DriftPolicy) -> Measure:
    """New categories against the rate at which the reference itself meets new ones.

    That rate is its share of rows whose category no other of its rows has: what each row would be against
    all the others (I.J. Good, "The population frequencies of species", Biometrika 1953). Its variance is
    not a binomial's N1 / n² but about (N1 + 2 · N2) / n², with N2 the categories that occur twice (W.W. Esty,
    Annals of Statistics 1983); the reference is counted as accordingly fewer rows.
    """
    once = sum(rows == 1 for _, rows in profile.counts)
    twice = sum(rows == 2 for _, rows in profile.counts)
    factor = once / (once + 2 * twice) if once else 1.0
    counts = once * factor, profile.rows * factor, new, fresh_rows
    p = share_rise(*(round(count / policy.design_effect) for count in counts))
    rise = new / fresh_rows - once / profile.rows
    return Measure("new_category", "fisher_new", rise, p, max(0.0, rise), policy.new_category)
