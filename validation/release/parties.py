"""The checks of a release at the parties: every party's own holdout, and their data contracts. Pure.

Holdouts are small, and a party tells three numbers about its own, not its rows. So a floor is an alarm for
evident harm: a score counts as below it when it is lower by more than `ONE_SIDED` standard errors.
"""

import math
from collections.abc import Iterator, Mapping

from fedmodels.metrics import standard_error
from fedmodels.protocol.messages import Metrics
from fedmodels.protocol.releases import ReleaseCheck
from fedmodels.recipe import ReleaseGate
from fedmodels.words import counted
from validation.release.checks import ROUNDING, check
from validation.release.evidence import PartyScores

ONE_SIDED = 1.6449
"""Standard errors that a normal variable exceeds on one side in 5 % of all cases."""


def check_parties(gate: ReleaseGate, parties: Mapping[str, PartyScores]) -> Iterator[ReleaseCheck]:
    """Floors and falls on every party's holdout, from evaluations that the parties signed."""
    if not any(scores.candidate for scores in parties.values()):
        fact = "No party scored the candidate on its own holdout"
        asked = any((gate.min_party_accuracy, gate.min_party_macro_f1))
        yield check("parties", 0.0, None, "failed" if asked else "not-checked", fact)
    for party, scores in sorted(parties.items()):
        if scores.fault:
            yield check(f"party/{party}", None, None, "failed", f"The evaluation of {party} {scores.fault}")
        elif scores.candidate is None:
            yield check(f"party/{party}", None, None, "not-checked", f"{party} did not score the candidate")
        else:
            yield _accuracy_floor(gate.min_party_accuracy, party, scores.candidate)
            yield _f1_floor(gate.min_party_macro_f1, party, scores.candidate)
            if scores.champion is not None:
                yield _drop(gate.max_party_drop, party, scores.candidate, scores.champion)


def check_contracts(gate: ReleaseGate, contracts: Mapping[str, str]) -> ReleaseCheck:
    """That no party of the model's round broke its data contract."""
    broken = [f"{party} ({why})" for party, why in sorted(contracts.items()) if why]
    if not contracts:
        return check(
            "data-contracts", None, None, "not-checked", "No party told of its data in the model's round"
        )
    if not broken:
        fact = (
            f"The data of {_counted_parties(len(contracts))} satisfied their contracts in the model's round"
        )
        return check("data-contracts", 0.0, 0.0, "passed", fact)
    fact = f"In the model's round these broke their data contracts: {', '.join(broken)}"
    if not gate.require_contracts:
        return check("data-contracts", len(broken), None, "reported", f"{fact} (require_contracts is off)")
    return check("data-contracts", len(broken), 0.0, "failed", fact)


def _counted_parties(number: int) -> str:
    """`1 party`, `2 parties`."""
    return "1 party" if number == 1 else f"{number} parties"


def _accuracy_floor(floor: float | None, party: str, own: Metrics) -> ReleaseCheck:
    error = standard_error(own.accuracy, own.num_examples)
    fact = (
        f"The accuracy on {party}'s holdout is {own.accuracy:.4f} ± {error:.4f} "
        f"on {counted(own.num_examples, 'row')}"
    )
    name = f"party/{party}/accuracy"
    if floor is None:
        return check(name, own.accuracy, None, "reported", f"{fact} (min_party_accuracy is off)")
    passed = own.accuracy + ONE_SIDED * error >= floor - ROUNDING
    how = "not evidently below" if passed else "evidently below"
    return check(
        name,
        own.accuracy,
        floor,
        "passed" if passed else "failed",
        f"{fact}, {how} min_party_accuracy {floor:g}",
    )


def _f1_floor(floor: float | None, party: str, own: Metrics) -> ReleaseCheck:
    """A macro F1 has no simple standard error: it is judged as it is."""
    fact = f"The macro F1 on {party}'s holdout is {own.macro_f1:.4f}"
    name = f"party/{party}/macro-f1"
    if floor is None:
        return check(name, own.macro_f1, None, "reported", f"{fact} (min_party_macro_f1 is off)")
    passed = own.macro_f1 >= floor - ROUNDING
    return check(
        name,
        own.macro_f1,
        floor,
        "passed" if passed else "failed",
        f"{fact}, {'within' if passed else 'below'} min_party_macro_f1 {floor:g}",
    )


def _drop(bound: float | None, party: str, own: Metrics, champion: Metrics) -> ReleaseCheck:
    """The fall against the champion. Its error takes the two as independent, the larger assumption."""
    drop = champion.accuracy - own.accuracy
    error = math.hypot(
        standard_error(own.accuracy, own.num_examples),
        standard_error(champion.accuracy, champion.num_examples),
    )
    fact = (
        f"The accuracy on {party}'s holdout changes by {-drop:+.4f} ± {error:.4f} against the champion "
        f"({champion.accuracy:.4f} to {own.accuracy:.4f})"
    )
    name = f"party/{party}/drop"
    if bound is None:
        return check(name, drop, None, "reported", f"{fact} (max_party_drop is off)")
    passed = drop - ONE_SIDED * error <= bound + ROUNDING
    how = "no evident fall beyond" if passed else "an evident fall beyond"
    return check(
        name, drop, bound, "passed" if passed else "failed", f"{fact}, {how} max_party_drop {bound:g}"
    )
