"""The round gate: whether a candidate becomes the model that HEAD names.

Pure: it compares scores that others computed. Each check answers with one sentence that holds the value,
the bound and the verdict; the gate passes when every check does.
"""

import math
from collections.abc import Mapping
from statistics import median
from typing import Literal

from fedmodels.protocol.messages import GateResult, Metrics
from fedmodels.recipe import LOSS_FLOOR, RoundGate
from fedmodels.words import counted

KeyMetric = Literal["accuracy", "macro_f1", "loss"]
Check = tuple[bool, str]
_ROUNDING = 1e-9
"""A fall of exactly the bound passes, whatever the last bit of the difference says."""
FEWEST_NORMS = 3
"""Of two updates nobody can tell which one is wrong."""


def round_gate(
    gate: RoundGate,
    key_metric: KeyMetric,
    good: Metrics | None,
    candidate: Metrics | None,
    parties: Mapping[str, tuple[Metrics | None, Metrics | None]],
    norms: Mapping[str, float],
) -> GateResult:
    """Judge a candidate against the good model that it would replace.

    Args:
        gate: the recipe's bounds; `None` switches a check off.
        key_metric: the score that must not fall; for `loss`, that must not rise.
        good: the good model on validation; `None` when it has no scores, and then nothing can fall.
        candidate: the candidate on validation; `None` when a score of it was not finite.
        parties: scores on each party's own holdout, (good, candidate), `None` for an abstention.
        norms: L2 norm of each accepted update, by party.
    """
    if candidate is None or not _is_finite(candidate):
        return GateResult(
            passed=False, reasons=("The candidate has no finite scores on validation: refused.",)
        )
    checks = [
        *_check_metric(gate.max_metric_drop, key_metric, good, candidate),
        *_check_parties(gate.max_party_drop, key_metric, parties),
        *_check_loss(gate.max_loss, candidate),
        *_check_loss_ratio(gate.max_loss_ratio, good, candidate),
        *_check_norms(gate.max_norm_ratio, norms),
    ]
    reasons = tuple(sentence for _, sentence in checks) or ("The recipe switches every check off: passed.",)
    return GateResult(passed=all(passed for passed, _ in checks), reasons=reasons)


def metric_drop(key_metric: KeyMetric, before: Metrics, after: Metrics) -> float:
    """How much worse `after` is than `before`; negative when it is better. For `loss`, lower is better."""
    change = float(getattr(before, key_metric)) - float(getattr(after, key_metric))
    return -change if key_metric == "loss" else change


def _check_metric(
    bound: float | None, key_metric: KeyMetric, good: Metrics | None, candidate: Metrics
) -> list[Check]:
    if bound is None:
        return []
    if good is None:
        return [(True, f"There is no earlier {key_metric} on validation to compare with: passed.")]
    return [_drop("validation", key_metric, good, candidate, "max_metric_drop", bound)]


def _check_parties(
    bound: float | None, key_metric: KeyMetric, parties: Mapping[str, tuple[Metrics | None, Metrics | None]]
) -> list[Check]:
    if bound is None:
        return []
    checks: list[Check] = []
    for party in sorted(parties):
        before, after = parties[party]
        where = f"{party}'s holdout"
        if after is None:
            checks.append((True, f"{party} did not score the candidate: not checked."))
        elif not _is_finite(after):
            checks.append((False, f"The candidate has no finite scores on {where}: refused."))
        elif before is None:
            checks.append((True, f"There is no earlier {key_metric} on {where} to compare with: passed."))
        else:
            checks.append(_drop(where, key_metric, before, after, "max_party_drop", bound))
    return checks


def _check_loss(bound: float | None, candidate: Metrics) -> list[Check]:
    if bound is None:
        return []
    if candidate.loss <= bound:
        return [(True, f"The loss on validation is {candidate.loss:.4f}, within max_loss {bound:g}: passed.")]
    return [(False, f"The loss on validation is {candidate.loss:.4f}, above max_loss {bound:g}: refused.")]


def _check_loss_ratio(bound: float | None, good: Metrics | None, candidate: Metrics) -> list[Check]:
    if bound is None:
        return []
    if good is None:
        return [(True, "There is no earlier loss on validation to compare with: passed.")]
    ratio = candidate.loss / max(good.loss, LOSS_FLOOR)
    both = f"{good.loss:.4f} to {candidate.loss:.4f}"
    fact = f"The loss on validation is {ratio:.2f} times the good model's ({both})"
    if ratio <= bound + _ROUNDING:
        return [(True, f"{fact}, within max_loss_ratio {bound:g}: passed.")]
    return [(False, f"{fact}, beyond max_loss_ratio {bound:g}: refused.")]


def _check_norms(bound: float | None, norms: Mapping[str, float]) -> list[Check]:
    if bound is None or not norms:
        return []
    if not all(math.isfinite(norm) for norm in norms.values()):
        return [(False, "An accepted update has no finite norm: refused.")]
    if len(norms) < FEWEST_NORMS:
        fact = f"Updates of {counted(len(norms), 'party')} do not show whose norm is out of line"
        return [(True, f"{fact}, for which max_norm_ratio {bound:g} needs {FEWEST_NORMS}: not checked.")]
    party, largest = max(sorted(norms.items()), key=lambda item: item[1])
    middle = median(norm for other, norm in norms.items() if other != party)
    ratio = largest / middle if middle > 0 else (math.inf if largest > 0 else 1.0)
    fact = f"The largest update ({party}) is {ratio:.2f} times the median of the others"
    if ratio <= bound:
        return [(True, f"{fact}, within max_norm_ratio {bound:g}: passed.")]
    return [(False, f"{fact}, above max_norm_ratio {bound:g}: refused.")]


def _drop(
    where: str, key_metric: KeyMetric, before: Metrics, after: Metrics, name: str, bound: float
) -> Check:
    drop = metric_drop(key_metric, before, after)
    first, second = float(getattr(before, key_metric)), float(getattr(after, key_metric))
    worse, better = ("rose", "fell") if key_metric == "loss" else ("fell", "rose")
    verb = "stayed" if first == second else f"{worse if drop > 0 else better} by {abs(drop):.4f}"
    fact = f"The {key_metric} on {where} {verb} ({first:.4f} to {second:.4f})"
    if drop <= bound + _ROUNDING:
        return True, f"{fact}, within {name} {bound:g}: passed."
    return False, f"{fact}, beyond {name} {bound:g}: refused."


def _is_finite(metrics: Metrics) -> bool:
    return all(math.isfinite(value) for value in (metrics.accuracy, metrics.macro_f1, metrics.loss))
