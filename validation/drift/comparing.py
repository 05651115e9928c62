"""Fresh data against their reference: every measure of every feature, corrected and judged."""

from collections.abc import Mapping

import numpy as np

from fedmodels.errors import DataRefused, InputError
from validation.drift import categories, embeddings, numbers, outcomes, texts
from validation.drift.columns import Scored, Values
from validation.drift.findings import DriftReport, Kind, Measure, Measured, NotCompared, judge
from validation.drift.policy import DriftPolicy
from validation.drift.reference import Profile, Reference
from validation.drift.significance import resamples_for

NEED_LABELS: frozenset[Kind] = frozenset({"label", "loss", "calibration"})
"""Kinds that fresh data may lack: their labels come later, or never."""
OF_A_COLUMN: frozenset[Kind] = frozenset({"number", "category", "text"})
"""Kinds of single values, of which a column that is gone is one that no row fills."""
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
    unreadable: Mapping[str, int] | None = None,
) -> DriftReport:
    """Check fresh data for drift.

    Args:
        reference: what the released model was trained on; `None` when there is none.
        fresh: values by feature. Labels, losses and calibration may be missing, or cover fewer rows; any
            other column of the reference that is missing has vanished. One that the reference does not know
            is left out.
        policy: level and bounds.
        rng: draws samples, permutations and resamples; the same seed gives the same report.
        unreadable: by feature, values that whoever read the column counted as missing since they are no
            number; the feature's sentence tells them.

    Returns:
        The verdict. Nothing in it is a value of a row. A column that is hardly filled any more, or has
        vanished, is compared by its missing values alone; one that cannot be used at all, here or in the
        reference, is named in `not_compared` and holds up no other.

    Raises:
        InputError: `drift-no-reference`.
        DataRefused: `drift-feature-missing`: there is no column of the reference; or none can be used, and
            the code says why the first cannot.
    """
    if reference is None or not reference.profiles:
        raise InputError(
            "There is no reference to compare fresh data with",
            fix="build one from the data that the released model was trained on",
            code="drift-no-reference",
        )
    given = _given(reference, fresh)
    later = [name for name in reference.profiles if name not in given and _comes_later(reference, name)]
    held = {name: profile for name, profile in reference.profiles.items() if name not in later}
    resamples = resamples_for(sum(_MOST_TESTS[profile.kind] for profile in held.values()), policy.alpha)
    measured, refused = [], dict[str, DataRefused]()
    strange = unreadable or {}
    for name, profile in held.items():
        try:
            values = given[name] if name in given else _vanished(name, profile, given)
            rows, measures = _measure(name, profile, values, policy, resamples, rng)
        except DataRefused as error:
            refused[name] = error
            continue
        measured.append(
            Measured(
                name,
                profile.kind,
                rows,
                tuple(measures),
                vanished=name not in given,
                unreadable=strange.get(name, 0),
                given=_rows_of(values),
            )
        )
    if not measured:
        raise next(iter(refused.values()))
    left_out = dict(reference.left_out) | {name: f"{error.sentence}." for name, error in refused.items()}
    return judge(measured, policy.alpha, later, [NotCompared(*each) for each in sorted(left_out.items())])


def _given(reference: Reference, fresh: Mapping[str, Values]) -> dict[str, Values]:
    """The fresh columns that the reference knows, in its order.

    Raises:
        DataRefused: `drift-feature-missing`: there is none.
    """
    given = {name: fresh[name] for name in reference.profiles if name in fresh}
    if not given:
        raise DataRefused(
            f"The fresh data have none of the columns that are watched: {', '.join(reference.profiles)}",
            fix="hand in those that the model was trained on, or train on the new ones",
            code="drift-feature-missing",
        )
    return given


def _comes_later(reference: Reference, name: str) -> bool:
    return reference.profiles[name].kind in NEED_LABELS


def _vanished(name: str, profile: Profile, given: Mapping[str, Values]) -> Values:
    """A column that no fresh row fills, in place of one that the fresh data have no more.

    Raises:
        DataRefused: `drift-feature-missing`: it is none of single values.
    """
    if profile.kind not in OF_A_COLUMN:
        raise DataRefused(f"The fresh data have no column for {name}", code="drift-feature-missing")
    return [None] * max(map(_rows_of, given.values()))


def _rows_of(values: Values) -> int:
    return len(values.confidence) if isinstance(values, Scored) else len(values)


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
