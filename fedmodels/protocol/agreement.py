"""What each message must say, given the others: a run is a chain of facts that follow from each other.

Pure. Each function names what in a message does not follow, as clauses for people; none means that all
of it does. What nothing else determines is not judged here: measured times and losses, the sentences of
a gate, HEAD's epoch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from fedmodels.protocol.dropping import CHANGED_SINCE, took_back
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    Closed,
    Decision,
    Evaluation,
    Head,
    Message,
    Metrics,
    Plan,
    Receipt,
    Record,
)
from fedmodels.protocol.progress import why_finished
from fedmodels.protocol.recording import NO_FINITE_AVERAGE

_TOLERANCE = 1e-9


def announcement_faults(
    announcement: Announcement,
    plan: Plan | None,
    before: Head | None,
    decision: Decision | None,
    cohort: Sequence[str] | None,
) -> tuple[str, ...]:
    """What the plan, HEAD before the round and the round's draw do not bear out.

    Where the draw, `cohort`, is not known, the round's decision stands in for it.
    """
    faults = []
    if before:
        faults += _differing(
            announcement, {"passed_rounds": before.passed_rounds, "model_sha256": before.model_sha256}
        )
    if plan:
        faults += _differing(announcement, {"round_timeout": plan.recipe.round_timeout})
        if cohort is None and (strangers := sorted(set(announcement.cohort) - set(plan.parties))):
            faults.append(f"it asks {', '.join(strangers)}, whom the plan does not name")
    if cohort is not None:
        faults += _differing(announcement, {"cohort": cohort})
    elif decision:
        fresh = {update.party for update in decision.accepted if update.round is None}
        fresh |= {refusal.party for refusal in decision.refused if refusal.round is None}
        if wrong := sorted(fresh.symmetric_difference(announcement.cohort)):
            faults.append(f"its cohort and the parties of the decision differ in {', '.join(wrong)}")
    return tuple(faults)


def decision_faults(
    decision: Decision,
    shares: Mapping[str, float] | None,
    before: Head | None,
    receipts: Mapping[str, Receipt],
) -> tuple[str, ...]:
    """What the recipe, HEAD before the round and the accepted receipts (by party) do not bear out.

    Args:
        decision: of the round.
        shares: party to its weight by the recipe, were all updates fresh; `None` when that is unknown.
        before: HEAD before the round.
        receipts: by party, those that the decision pins.
    """
    faults = _differing(decision, {"base_sha256": before.model_sha256}) if before else []
    parties = [update.party for update in decision.accepted]
    if parties != sorted(set(parties)):
        faults.append("its accepted updates are not one for each party, in order")
    for update in decision.accepted:
        if receipt := receipts.get(update.party):
            if update.num_examples != receipt.num_examples:
                faults.append(
                    f"it counts {update.num_examples} examples of {update.party}, "
                    f"whose receipt says {receipt.num_examples}"
                )
            if update.update_sha256 != receipt.update_sha256:
                faults.append(f"it names another update of {update.party} than the receipt")
    if shares and decision.accepted:
        weights = _discounted(decision, shares)
        if wrong := [u.party for u in decision.accepted if not _close(u.weight, weights[u.party])]:
            faults.append(f"the weights of {', '.join(wrong)} are not those of the recipe")
    return tuple(faults)


def candidate_faults(candidate: Candidate, plan: Plan | None, record: Record | None) -> tuple[str, ...]:
    """What the plan and the round's record do not bear out."""
    faults = []
    if plan:
        recipe = plan.recipe
        faults += _differing(
            candidate,
            {
                "evaluate": recipe.evaluate_at_parties and candidate.metrics is not None,
                "evaluation_timeout": recipe.evaluation_timeout,
            },
        )
    if record:
        faults += _differing(
            candidate,
            {
                "model_sha256": record.candidate_sha256,
                "metrics": record.metrics,
                "fine_tuning": record.fine_tuning,
            },
        )
    return tuple(faults)


def record_faults(
    record: Record,
    before: Head | None,
    decision: Decision | None,
    candidate: Candidate | None,
    receipts: Mapping[str, Receipt],
) -> tuple[str, ...]:
    """What HEAD before the round, its decision, candidate and accepted receipts do not bear out."""
    passed = record.outcome == "passed"
    faults = []
    if passed != (record.gate.passed and record.candidate_sha256 is not None):
        faults.append(
            f"its outcome is {record.outcome}, its gate says {'yes' if record.gate.passed else 'no'}"
        )
    taken_back = took_back(record)
    no_model = bool(taken_back) or record.gate == NO_FINITE_AVERAGE
    if (record.outcome == "quorum-missed") != (record.candidate_sha256 is None and not no_model):
        faults.append(f"its outcome is {record.outcome} {'without' if passed else 'with'} a candidate")
    if passed:
        faults += _differing(record, {"model_sha256": record.candidate_sha256})
    elif before:
        faults += _differing(record, {"model_sha256": before.model_sha256})
    spoiled = record.accepted if record.outcome == "gate-refused" else ()
    if record.dropped is not None and record.dropped not in spoiled:
        faults.append(f"it drops {record.dropped}, which spoiled no round")
    if decision:
        accepted = tuple(update.party for update in decision.accepted)
        later = tuple(refusal for refusal in record.refused if refusal.code == CHANGED_SINCE)
        faults += _differing(record, {"accepted": accepted, "refused": (*decision.refused, *later)})
    if candidate:
        proposed = {"candidate_sha256": candidate.model_sha256, "metrics": candidate.metrics}
        faults += _differing(record, {**proposed, "fine_tuning": candidate.fine_tuning})
    for party, receipt in receipts.items():
        if (row := record.parties.get(party)) and party not in taken_back:
            stated = {"num_examples": receipt.num_examples, "update_norm": receipt.update_norm}
            rows = _differing(row, {**stated, "bytes_up": receipt.update_bytes})
            faults += [f"of {party}, {fault}" for fault in rows]
    rows_up = sum(row.bytes_up for row in record.parties.values())
    rows_down = sum(row.bytes_down for row in record.parties.values())
    return (*faults, *_differing(record.bytes, {"up": rows_up, "down": rows_down}))


def evaluation_faults(
    evaluation: Evaluation, candidate: Candidate | None, record: Record | None
) -> tuple[str, ...]:
    """What the round's candidate and record do not bear out. One that came too late counts nowhere."""
    faults = _differing(evaluation, {"model_sha256": candidate.model_sha256}) if candidate else []
    row = record.parties.get(evaluation.party) if record else None
    if row and row.metrics is not None:
        faults += _differing(evaluation, {"metrics": row.metrics})
        if row.champion != evaluation.champion_metrics:
            faults.append("its scores of the champion are not those of the record")
    return tuple(faults)


def head_faults(head: Head, expected: Head) -> tuple[str, ...]:
    """What the records do not bear out; they determine neither epoch nor owner."""
    return tuple(_differing(head, expected.model_dump(exclude={"epoch", "owner"})))


def closed_faults(
    closed: Closed, plan: Plan | None, after: Head | None, records: Sequence[Record]
) -> tuple[str, ...]:
    """What HEAD after `closed.rounds` rounds and their records do not bear out."""
    if after is None:
        return ()
    best = next((record for record in records if record.round == after.best_round), None)
    faults = _differing(
        closed, {"model_sha256": after.best_model_sha256, "final": best.holdout if best else None}
    )
    if plan and closed.status == "finished" and why_finished(after, records, plan.recipe) is None:
        faults.append(f"it says finished after {after.passed_rounds} of {plan.recipe.num_rounds} rounds")
    return tuple(faults)


def misspelt(stated: str, actual: str) -> bool:
    """Whether a hash was altered where it is stated.

    Two SHA-256 agree in 4 of 64 digits by chance. Where all but two agree, the bytes that are hashed did
    not change: a digit of the hash did.
    """
    return 0 < sum(one != other for one, other in zip(stated, actual, strict=True)) <= 2


def _discounted(decision: Decision, shares: Mapping[str, float]) -> dict[str, float]:
    """Each accepted party's share, discounted for staleness and scaled to sum to 1 again."""
    scaled = {update.party: shares[update.party] * update.discount for update in decision.accepted}
    total = sum(scaled.values())
    return {party: share / total for party, share in scaled.items()}


def _differing(message: Message, expected: Mapping[str, object]) -> list[str]:
    return [
        f"{name} is {_told_apart(getattr(message, name), value)}"
        for name, value in expected.items()
        if _plain(getattr(message, name)) != _plain(value)
    ]


def _told_apart(found: object, expected: object) -> str:
    """Both, cut short unless that would make them look alike."""
    shown, wanted = _shown(found), _shown(expected)
    return f"{found}, not {expected}" if shown == wanted else f"{shown}, not {wanted}"


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return value.model_dump()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _shown(value: object) -> str:
    if isinstance(value, Metrics):
        return f"accuracy {value.accuracy}, macro F1 {value.macro_f1}, loss {value.loss}"
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:12]}…"
    if isinstance(value, Message):
        return f"another {type(value).__name__}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"({', '.join(map(_shown, value))})"
    return "absent" if value is None else str(value)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE)
