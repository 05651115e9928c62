"""Fresh data against their reference: every measure of every feature, corrected and judged."""

from collections.abc import Mapping

import numpy as np

from fedmodels.errors import DataRefused, InputError
from validation.drift import categories, embeddings, numbers, outcomes, texts
from validation.drift.columns import Values
from validation.drift.findings import DriftReport, Kind, Measure, Measured, NotCompared, judge
from validation.drift.policy import DriftPolicy
from validation.drift.reference import Profile, Reference
from validation.drift.significance import resamples_for

NEED_LABELS: frozenset[Kind] = frozenset({"label", "loss", "calibration"})
"""Kinds that fresh data may lack: their labels come later, or never."""
_MOST_TESTS: dict[Kind, int] = {
    "number": numbers.MOST_TESTS,
    "category": categories.MOST_TESTS,
    "label": categories.MOST_TESTS,
    "text": texts.MOST_TESTS,
    "embedding": embeddings.MOST_TESTS,
    "loss": outcomes.MOST_TESTS,
    "calibration": outcomes.MOST_TESTS,
}


def compare(
    reference: Reference | None,
    fresh: Mapping[str, Values],
    policy: DriftPolicy,
    rng: np.random.Generator,
) -> DriftReport:
    """Check fresh data for drift.

    Args:
        reference: what the released model was trained on; `None` when there is none.
        fresh: values by feature, for every feature of the reference. Only labels, losses and calibration
            may be missing, or cover fewer rows. A column that the reference does not know is left out.
        policy: level and bounds.
        rng: draws samples, permutations and resamples; the same seed gives the same report.

    Returns:
        The verdict. Nothing in it is a value of a row. A column that is hardly filled any more is compared
        by its missing values alone; one that cannot be used at all, here or in the reference, is named in
        `not_compared` and holds up no other.

    Raises:
        InputError: `drift-no-reference`.
        DataRefused: `drift-feature-missing`, or no column can be used; the code says why the first cannot.
    """
    if reference is None or not reference.profiles:
        raise InputError(
            "There is no reference to compare fresh data with",
            fix="build one from the data that the released model was trained on",
            code="drift-no-reference",
        )
    absent = [name for name in reference.profiles if name not in fresh]
    required = [name for name in absent if reference.profiles[name].kind not in NEED_LABELS]
    if required:
        raise DataRefused(
            f"The fresh data have no column for {', '.join(required)}",
            fix="hand in every feature of the reference, or build a new one",
            code="drift-feature-missing",
        )
    present = {name: profile for name, profile in reference.profiles.items() if name in fresh}
    if not present:
        raise DataRefused(
            "The fresh data hold no feature of the reference",
            fix="hand in the features of the reference",
            code="drift-feature-missing",
        )
    most_tests = sum(_MOST_TESTS[profile.kind] for profile in present.values())
    resamples = resamples_for(most_tests, policy.alpha)
    measured, refused = [], dict[str, DataRefused]()
    for name, profile in present.items():
        try:
            rows, measures = _measure(name, profile, fresh[name], policy, resamples, rng)
        except DataRefused as error:
            refused[name] = error
            continue
        measured.append(Measured(name, profile.kind, rows, tuple(measures)))
    if not measured:
        raise next(iter(refused.values()))
    left_out = dict(reference.left_out) | {name: f"{error.sentence}." for name, error in refused.items()}
    return judge(measured, policy.alpha, absent, [NotCompared(*each) for each in sorted(left_out.items())])


def _measure(
    name: str,
    profile: Profile,
    values: Values,
    policy: DriftPolicy,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[int, list[Measure]]:
    match profile:
        case numbers.NumberProfile():
            return numbers.measure_numbers(name, profile, values, policy)
        case categories.CategoryProfile():
            return categories.measure_categories(name, profile, values, policy)
        case texts.TextProfile():
            return texts.measure_texts(name, profile, values, policy, rng)
        case embeddings.EmbeddingProfile():
            return embeddings.measure_embeddings(name, profile, values, policy, resamples, rng)
        case outcomes.LossProfile():
            return outcomes.measure_losses(name, profile, values, policy)
        case outcomes.CalibrationProfile():
            return outcomes.measure_calibration(name, profile, values, policy, resamples, rng)
