"""The checks of a release on the coordinator's own rows: accuracy, loss, slices, calibration, cost.

Pure. Each check answers with its value, the bound, the verdict and one sentence that holds all three. Where
a bound is off the value is reported all the same.
"""

from collections.abc import Iterator

import numpy as np

from fedmodels.metrics import standard_error
from fedmodels.protocol.messages import Metrics
from fedmodels.protocol.releases import ReleaseCheck, Verdict
from fedmodels.recipe import ReleaseGate
from fedmodels.row_scores import RowScores, expected_calibration_error
from validation.release.evidence import Evidence
from validation.release.paired import Comparison, compare, mean_interval

ROUNDING = 1e-9
"""Exactly the bound passes, whatever the last bit of the difference says."""
_ENDINGS = {"passed": "passed", "failed": "refused", "not-checked": "not checked", "reported": "reported"}


def check(name: str, value: float | None, bound: float | None, verdict: Verdict, fact: str) -> ReleaseCheck:
    """A check whose sentence is `fact` with the verdict behind it."""
    return ReleaseCheck(
        name=name, value=value, bound=bound, verdict=verdict, sentence=f"{fact}: {_ENDINGS[verdict]}."
    )


def bounded(
    name: str, value: float, bound: float | None, fact: str, key: str, *, least: bool = False
) -> ReleaseCheck:
    """A value that may be at most, or `least`, its bound; reported when the bound is off."""
    if bound is None:
        return check(name, value, None, "reported", f"{fact} ({key} is off)")
    passed = value >= bound - ROUNDING if least else value <= bound + ROUNDING
    where = "within" if passed else ("below" if least else "above")
    return check(name, value, bound, "passed" if passed else "failed", f"{fact}, {where} {key} {bound:g}")


def check_accuracy(
    gate: ReleaseGate, candidate: RowScores, evidence: Evidence, generator: np.random.Generator
) -> list[ReleaseCheck]:
    """The candidate's accuracy by itself, and, where there is a champion, that it is not inferior to it.

    Non-inferior means that the lower end of the confidence interval of the paired difference is not below
    `-margin`: the candidate has to show it. A wider interval needs more rows, not a wider margin.
    """
    rows, accuracy = len(candidate), candidate.accuracy
    error = standard_error(accuracy, rows)
    fact = f"The accuracy on validation is {accuracy:.4f} ± {error:.4f} on {rows} rows"
    own = bounded("accuracy", accuracy, gate.min_accuracy, fact, "min_accuracy", least=True)
    if evidence.champion is None:
        return [own, without_champion(evidence)]
    found = compare(evidence.champion.correct, candidate.correct, generator, gate.confidence)
    return [own, _non_inferior(gate, found, evidence), _mcnemar(found)]


def without_champion(evidence: Evidence) -> ReleaseCheck:
    """Why there is no comparison."""
    if evidence.champion_release is None:
        fact = "There is no champion yet, so that bounds alone decide on this first release"
    else:
        fact = (
            f"The champion, release {evidence.champion_release}, has no finite scores on validation, "
            "so that bounds alone decide"
        )
    return check("non-inferiority", None, None, "not-checked", fact)


def check_loss(
    gate: ReleaseGate, candidate: RowScores, champion: RowScores | None, generator: np.random.Generator
) -> list[ReleaseCheck]:
    """That the mean loss does not rise by more than `max_loss_rise`, with the same confidence."""
    if champion is None:
        return []
    found = mean_interval(candidate.losses - champion.losses, generator, gate.confidence)
    fact = f"The loss on validation changes by {found.in_words()}; its upper end counts"
    return [bounded("loss-rise", found.upper, gate.max_loss_rise, fact, "max_loss_rise")]


def check_slices(
    gate: ReleaseGate,
    candidate: RowScores,
    evidence: Evidence,
    generator: np.random.Generator,
) -> Iterator[ReleaseCheck]:
    """In each slice of enough rows, that accuracy did not evidently fall by more than `max_slice_drop`."""
    for name, mask in sorted(evidence.slices.items()):
        rows = int(mask.sum())
        own = candidate.correct[mask]
        if rows < gate.min_slice_rows:
            fact = f"The slice {name} has {rows} rows, fewer than min_slice_rows {gate.min_slice_rows}"
            yield check(f"slice/{name}", float(own.mean()) if rows else None, None, "not-checked", fact)
            continue
        fact = f"The accuracy on the {rows} rows of {name} is {own.mean():.4f}"
        if evidence.champion is None:
            error = standard_error(float(own.mean()), rows)
            yield check(f"slice/{name}", float(own.mean()), None, "reported", f"{fact} ± {error:.4f}")
            continue
        found = compare(evidence.champion.correct[mask], own, generator, gate.confidence)
        drop = -found.accuracy.difference
        least = -found.accuracy.upper
        fact = f"{fact} ({found.accuracy.in_words()} against the champion)"
        if gate.max_slice_drop is None:
            yield check(f"slice/{name}", drop, None, "reported", f"{fact} (max_slice_drop is off)")
        else:
            passed = least <= gate.max_slice_drop + ROUNDING
            how = "no evident fall beyond" if passed else "an evident fall beyond"
            yield check(
                f"slice/{name}",
                drop,
                gate.max_slice_drop,
                "passed" if passed else "failed",
                f"{fact}, {how} max_slice_drop {gate.max_slice_drop:g}",
            )


def check_calibration(gate: ReleaseGate, candidate: RowScores) -> ReleaseCheck:
    """That confidence and accuracy agree; see `expected_calibration_error`."""
    error = expected_calibration_error(candidate.confidences, candidate.correct)
    fact = f"The expected calibration error on validation is {error:.4f} (15 bins of equal width)"
    return bounded("calibration", error, gate.max_ece, fact, "max_ece")


def check_cost(gate: ReleaseGate, evidence: Evidence) -> list[ReleaseCheck]:
    """The model's size in bytes, and milliseconds for one text."""
    size, latency = evidence.model_bytes, evidence.latency_ms
    return [
        bounded("size", size, gate.max_model_bytes, f"The model has {size} bytes", "max_model_bytes"),
        bounded(
            "latency",
            latency,
            gate.max_latency_ms,
            f"One text takes {latency:.2f} ms at the coordinator (95th percentile)",
            "max_latency_ms",
        ),
    ]


def report_cut(evidence: Evidence) -> Iterator[ReleaseCheck]:
    """That one of the models may have trained on rows that it is scored on here; told, and refuses nothing.

    It favours that model, which is the champion unless the candidate begins from one of before.
    """
    if evidence.champion_cut:
        fact = (
            f"What cuts the rows is not as it was in the run of release {evidence.champion_release} "
            f"({evidence.champion_cut}): where no table is named as a holdout, one of the two models may "
            "have trained on rows that both are scored on"
        )
        yield check("champion-rows", None, None, "reported", fact)


def report_holdout(holdout: Metrics | None) -> ReleaseCheck:
    """The coordinator's holdout is scored and never decides."""
    if holdout is None:
        return check(
            "holdout", None, None, "not-checked", "The candidate has no finite scores on the holdout"
        )
    error = standard_error(holdout.accuracy, holdout.num_examples)
    fact = (
        f"The accuracy on the coordinator's holdout, which decides nothing, is {holdout.accuracy:.4f} "
        f"± {error:.4f} on {holdout.num_examples} rows"
    )
    return check("holdout", holdout.accuracy, None, "reported", fact)


def _non_inferior(gate: ReleaseGate, found: Comparison, evidence: Evidence) -> ReleaseCheck:
    interval = found.accuracy
    passed = interval.lower >= -gate.margin - ROUNDING
    fact = (
        f"Against release {evidence.champion_release} the accuracy on validation changes by "
        f"{interval.in_words()} on {found.rows} rows; the lower end is "
        f"{'within' if passed else 'beyond'} the margin -{gate.margin:g}"
    )
    return check("non-inferiority", interval.lower, -gate.margin, "passed" if passed else "failed", fact)


def _mcnemar(found: Comparison) -> ReleaseCheck:
    fact = (
        f"The candidate is right on {found.won} rows on which the champion is wrong, and wrong on "
        f"{found.lost} on which it is right (McNemar's exact test: p = {found.p_value:.4f})"
    )
    return check("mcnemar", found.p_value, None, "reported", fact)
