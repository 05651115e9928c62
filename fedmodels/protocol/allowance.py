"""How many rounds may fail: for want of parties, in a row and per coordinator; by the gate, in all.

Too few parties is something that passes: the run stops where it stands, and a resume goes on with a fresh
allowance. So is a party that took back what it had sent; it rests then. A model that the gate refuses again
and again is not: the run is closed as failed.
"""

from collections.abc import Mapping, Sequence

from fedmodels.errors import QuorumMissed
from fedmodels.protocol.dropping import took_back
from fedmodels.protocol.messages import Decision, Record
from fedmodels.protocol.progress import why_refused
from fedmodels.recipe import Recipe
from fedmodels.words import counted

OF_DATA = (
    *("table-", "contract-", "expectation-", "expectations-"),
    *("data-refused", "data-contract-failed", "engine-missing"),
)
"""How the codes begin of what is wrong with a party's tables, or with what it expects of them."""

NOT_FINITE = "training-not-finite"
"""Code of a training whose loss or weights are no finite numbers."""


def is_of_data(code: str) -> bool:
    """Whether a refusal says that a party's data do not satisfy their contract, or cannot be held to it."""
    return code.startswith(OF_DATA)


def has_quorum(decision: Decision, recipe: Recipe) -> bool:
    """Whether enough parties answered in time. A salvaged update counts in the model, not here."""
    fresh = sum(update.round is None for update in decision.accepted)
    return fresh >= recipe.min_available_parties


def missed_in_a_row(records: Sequence[Record], took_over_at: int) -> int:
    """Rounds that missed their quorum, or an update, since the last one that passed and the take-over.

    Args:
        records: the closed rounds, in order.
        took_over_at: the last round that was closed when this coordinator began.
    """
    missed = 0
    for record in reversed(records):
        if record.outcome == "passed" or record.round <= took_over_at:
            break
        missed += record.outcome == "quorum-missed" or bool(took_back(record))
    return missed


def why_failed(records: Sequence[Record], recipe: Recipe) -> str | None:
    """Why the run is closed as failed, without the last full stop, or `None`."""
    refused = [r for r in records if r.outcome == "gate-refused" and not took_back(r)]
    stops = recipe.gate.after_refusal == "stop"
    if not refused or (len(refused) <= recipe.max_failed_rounds and not stops):
        return None
    limit = "after_refusal is stop" if stops else f"at most {recipe.max_failed_rounds} may fail"
    return (
        f"The gate refused {counted(len(refused), 'round')}, and {limit}; "
        f"the last one: {why_refused(refused[-1])}"
    )


def why_stopped(
    run: str, records: Sequence[Record], recipe: Recipe, took_over_at: int
) -> QuorumMissed | None:
    """The error with which the run stops for want of parties and can be resumed, or `None`."""
    missed = missed_in_a_row(records, took_over_at)
    if missed <= recipe.max_failed_rounds:
        return None
    codes = {refusal.party: refusal.code for refusal in records[-1].refused}
    if set(codes.values()) == {NOT_FINITE}:  # so it would be again: a resume has the same recipe
        rate = f"a lower local.learning_rate than {recipe.local.learning_rate:g}"
        fix = f"end the run with fedcart runs cancel {run}, and train anew with {rate}"
    else:
        fix = f"see to the parties{where_to_look(codes)}, then go on with fedcart train --resume {run}"
    return QuorumMissed(
        f"{counted(missed, 'round')} in a row had too few parties, "
        f"and at most {recipe.max_failed_rounds} may; "
        f"the last one: {why_refused(records[-1])}",
        fix=fix,
    )


def why_not_begun(
    run: str, able: int, required: int, missing: Mapping[str, tuple[str, str] | None]
) -> QuorumMissed:
    """The error with which a run stops before a round is announced that could not have its quorum.

    Args:
        run: the run's id.
        able: parties that have joined, with sound data.
        required: the recipe's `min_available_parties`.
        missing: code and sentence of each of the others, `None` for one that has not answered.
    """
    said = "; ".join(
        f"{party}: {f'{told[0]}, {told[1]}' if told else 'no answer yet'}".rstrip(".")
        for party, told in missing.items()
    )
    refused = {party: told[0] for party, told in missing.items() if told}
    return QuorumMissed(
        f"{able} of {able + len(missing)} parties can take part, {required} are required ({said})",
        fix=f"see to the others{where_to_look(refused)} and to their workers (fedcart status), "
        f"then go on with fedcart train --resume {run}",
        code="parties-missing",
    )


def where_to_look(codes: Mapping[str, str]) -> str:
    """How the first of these parties whose data were refused sees what is wrong with them.

    Args:
        codes: code of each party's refusal.
    """
    party = next((party for party, code in codes.items() if is_of_data(code)), None)
    return f" (fedcart data check --party {party} --recipe RECIPE shows what is wrong)" if party else ""
