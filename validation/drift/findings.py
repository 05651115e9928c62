"""What a drift check answers: measures, findings per feature, and one sentence each without a row's value."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from fedmodels.words import counted
from validation.drift.significance import holm

Kind = Literal["number", "category", "label", "text", "embedding", "loss", "calibration"]


@dataclass(frozen=True)
class Measure:
    """One measure of one feature. All numbers are finite."""

    name: str
    """`psi`, `ks`, `wasserstein`, `missing`, `new_category`, `label_shift`, ... as in `DriftPolicy`."""
    test: str
    """The test that the p-value is from. Measures of a feature with one test share its p-value."""
    statistic: float
    """The test's own statistic."""
    p_value: float
    """Before correction."""
    effect: float
    """How far the fresh data are from the reference, in the unit of the bound."""
    bound: float
    """The policy's bound of the effect."""
    adjusted_p: float = 1.0
    """After Holm's correction over all tests of the check."""
    drifted: bool = False
    """Significant after correction, and beyond the bound."""


@dataclass(frozen=True)
class Finding:
    """One feature's verdict."""

    feature: str
    kind: Kind
    rows: int
    """Fresh rows with a value."""
    drifted: bool
    measures: tuple[Measure, ...]
    sentence: str


@dataclass(frozen=True)
class NotCompared:
    """A feature that the check had to leave out, on either side, and why in one sentence."""

    feature: str
    sentence: str


@dataclass(frozen=True)
class DriftReport:
    """The whole check's verdict. `dataclasses.asdict` makes it JSON; it holds no value of a row."""

    drifted: bool
    alpha: float
    tests: int
    """Tests that were corrected for."""
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...] = ()
    """Labels, losses or calibration of the reference, for which no fresh labels were given."""
    not_compared: tuple[NotCompared, ...] = ()
    """Features with values that no test can use."""

    @property
    def drifted_features(self) -> tuple[str, ...]:
        """Names of the features that drifted."""
        return tuple(finding.feature for finding in self.findings if finding.drifted)


@dataclass(frozen=True)
class Measured:
    """A feature's measures before correction."""

    feature: str
    kind: Kind
    rows: int
    measures: tuple[Measure, ...]
    vanished: bool = False
    """The fresh data have no such column: every value counts as missing."""
    unreadable: int = 0
    """Of the missing values, those that are there and no number."""
    given: int = 0
    """Fresh rows, with a value or without."""


def judge(
    measured: Sequence[Measured],
    alpha: float,
    not_checked: Sequence[str] = (),
    not_compared: Sequence[NotCompared] = (),
) -> DriftReport:
    """Correct the p-values over all tests of all features, and give each measure its verdict."""
    tests = list(dict.fromkeys((each.feature, one.test) for each in measured for one in each.measures))
    p_of = {(each.feature, one.test): one.p_value for each in measured for one in each.measures}
    adjusted = dict(zip(tests, holm([p_of[test] for test in tests]), strict=True))
    findings = tuple(_judge_feature(each, adjusted, alpha) for each in measured)
    return DriftReport(
        drifted=any(finding.drifted for finding in findings),
        alpha=alpha,
        tests=len(tests),
        findings=findings,
        not_checked=tuple(not_checked),
        not_compared=tuple(not_compared),
    )


def _judge_feature(measured: Measured, adjusted: dict[tuple[str, str], float], alpha: float) -> Finding:
    measures = []
    for measure in measured.measures:
        p = adjusted[measured.feature, measure.test]
        measures.append(replace(measure, adjusted_p=p, drifted=p < alpha and measure.effect > measure.bound))
    return Finding(
        feature=measured.feature,
        kind=measured.kind,
        rows=measured.rows,
        drifted=any(measure.drifted for measure in measures),
        measures=tuple(measures),
        sentence=_sentence(measured, measures, alpha),
    )


def _sentence(measured: Measured, measures: Sequence[Measure], alpha: float) -> str:
    over = f"over {counted(measured.rows, 'row')}"
    if measured.vanished:
        over = "and the fresh rows have no such column any more"
    elif measures and all(measure.name == "missing" for measure in measures):
        over = f"and its {counted(measured.rows, 'row')} with a value are too few to compare"
    if measured.unreadable:
        verb = "is no number" if measured.unreadable == 1 else "are no numbers"
        over += f"; {measured.unreadable} of {counted(measured.given, 'value')} {verb}"
    found = [measure for measure in measures if measure.drifted]
    if found:
        facts = " and ".join(
            f"{_words(each)} is {each.effect:.3f}, above {each.bound:g} ({_p(each.adjusted_p)})"
            for each in found
        )
        return f"{measured.feature} has drifted: {facts}, {over}."
    if not measures:
        return f"{measured.feature} has not drifted: it holds nothing that could differ, {over}."
    near = max(measures, key=lambda each: each.effect / each.bound if each.bound else each.effect)
    place = "above" if near.effect > near.bound else "within"
    fact = f"{_words(near)} is {near.effect:.3f}, {place} {near.bound:g}"
    if near.effect > near.bound:
        fact += f", and not significant at {alpha:g} ({_p(near.adjusted_p)})"
    return f"{measured.feature} has not drifted: {fact}, {over}."


def _words(measure: Measure) -> str:
    return {"psi": "PSI", "ks": "KS"}.get(measure.name, measure.name.replace("_", " "))


def _p(value: float) -> str:
    return f"p = {value:.4f}" if value >= 0.0001 else "p < 0.0001"
