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


def check_parties(
    gate: ReleaseGate, parties: Mapping[str, PartyScores], champion_release: int | None
) -> Iterator[ReleaseCheck]:
    """Floors and falls on every party's holdout, from evaluations that the parties signed.

    A party that abstained is not checked. Where that leaves nobody, a bound that the recipe asks for is not
    kept: it refuses.

    Args:
        gate: the recipe's bounds.
        parties: scores of every party of the run.
        champion_release: what the candidate is compared with; `None` for the first release.
    """
    yield from _check_anybody(gate, parties, champion_release)
    for party, scores in sorted(parties.items()):
        why = f" ({scores.missing})" if scores.missing else ""
        if scores.fault:
            yield check(f"party/{party}", None, None, "failed", f"The evaluation of {party} {scores.fault}")
        elif scores.candidate is None:
            fact = f"{party} did not score the candidate{why}, so that no bound was held against its holdout"
            yield check(f"party/{party}", None, None, "not-checked", fact)
        else:
            yield _accuracy_floor(gate.min_party_accuracy, party, scores.candidate)
            yield _f1_floor(gate.min_party_macro_f1, party, scores.candidate)
            if scores.champion is not None:
                yield _drop(gate.max_party_drop, party, scores.candidate, scores.champion)
            elif champion_release is not None:
                fact = f"There is no score of the champion on the rows of {party}'s holdout{why}"
                yield check(f"party/{party}/drop", None, gate.max_party_drop, "not-checked", fact)


def _check_anybody(
    gate: ReleaseGate, parties: Mapping[str, PartyScores], champion_release: int | None
) -> Iterator[ReleaseCheck]:
    """That at least one party could hold the candidate against each bound that the recipe asks for."""
    floors = {"min_party_accuracy": gate.min_party_accuracy, "min_party_macro_f1": gate.min_party_macro_f1}
    asked = [name for name, bound in floors.items() if bound is not None]
    if champion_release is not None and gate.max_party_drop is not None:
        asked.append("max_party_drop")
    scored = [scores for scores in parties.values() if scores.candidate is not None]
    if not scored:
        fact = "No party scored the candidate on its own holdout"
        if asked:
            fact = f"{fact}, where the recipe sets {', '.join(asked)} (null switches a bound off)"
        yield check("parties", 0.0, None, "failed" if asked else "not-checked", fact)
    elif "max_party_drop" in asked and not any(scores.champion for scores in scored):
        fact = (
            "No party scored the champion beside the candidate, so that max_party_drop "
            f"{gate.max_party_drop:g} holds nowhere; train again while this champion stands, "
            "or set it to null"
        )
        yield check("parties", 0.0, None, "failed", fact)


def check_contracts(gate: ReleaseGate, contracts: Mapping[str, str | None]) -> ReleaseCheck:
    """That no party of the run broke its data contract, by the last word on each; see `Evidence`."""
    broken = [f"{party} ({why})" for party, why in sorted(contracts.items()) if why]
    unknown = sorted(party for party, why in contracts.items() if why is None)
    known = len(contracts) - len(unknown)
    if not known:
        return check("data-contracts", None, None, "not-checked", "Nothing is known of any party's data")
    silent = f"; of {', '.join(unknown)} nothing is known" if unknown else ""
    if not broken:
        fact = f"The data of {counted(known, 'party')} satisfied their contracts{silent}"
        return check("data-contracts", 0.0, 0.0, "passed", fact)
    fact = f"These parties' data break their contracts: {', '.join(broken)}{silent}"
    if not gate.require_contracts:
        return check("data-contracts", len(broken), None, "reported", f"{fact} (require_contracts is off)")
    return check("data-contracts", len(broken), 0.0, "failed", fact)


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
    """The fall against the champion on the same rows.

    A party tells means and not which rows a model got wrong, so that the error takes the two scores as
    independent: for two models that are mostly right on the same rows, more than it is.
    """
    drop = champion.accuracy - own.accuracy
    error = math.hypot(
        standard_error(own.accuracy, own.num_examples),
        standard_error(champion.accuracy, champion.num_examples),
    )
    fact = (
        f"The accuracy on {party}'s holdout changes by {-drop:+z.4f} ± {error:.4f} against the champion "
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
