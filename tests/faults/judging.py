"""What came of the cases of one run, held against a run of its kind without a fault."""

from collections.abc import Sequence

from tests.faults.cases import Case
from tests.faults.faultless import Faultless, Lane
from tests.faults.playing import Played
from tests.faults.rows import Row, compared_with, names_of


def judged(
    bundle: Sequence[Case], played: Played, lane: Lane, faultless: Faultless, seconds: float
) -> list[Row]:
    """One row a case. The cases shared the run, so they are of one kind; its blobs are forgotten here.

    Args:
        bundle: the cases, in the order of their orders.
        played: their run.
        lane: where it was played.
        faultless: knows what it is held against.
        seconds: how long the run took.
    """
    kind, operator, closed = bundle[0], played.operator, played.closed
    broken = why_not_survived(kind, played)
    recomputed = not closed or kind.alike == "all count" or faultless.player.is_verified(played.run)
    faultless.player.forget_blobs(played.run)
    expected = faultless.model(lane, kind.alike, played.counted, kind.scene)
    equal = closed is not None and closed.model_sha256 == expected and recomputed
    why = [broken] if broken else []
    if closed and not equal:
        why.append(
            f"counted {names_of(played.counted)}" + ("" if recomputed else ", and cannot be recomputed")
        )
    first = len(operator.orders) - len(bundle)
    return [
        Row(
            case=case,
            fired=number in operator.fired,
            happened=operator.happened.get(number, False),
            survived=not broken,
            equal_hash=equal,
            compared_with=compared_with(played.counted, kind.alike),
            resumes=operator.resumes,
            seconds=seconds,
            together=len(bundle),
            why="; ".join([*why, *(() if number in operator.fired else ("did not fire",))]),
        )
        for number, case in enumerate(bundle, start=first)
    ]


def why_not_survived(case: Case, played: Played) -> str:
    """In words, what of the run's end is not as it must be; empty when all is."""
    operator, closed = played.operator, played.closed
    if closed is None:
        return f"did not end ({operator.standing()})"
    if closed.status != case.ends:
        return f"ended as {closed.status}: {closed.reason}"
    if case.ends == "cancelled" and not operator.head_stayed():
        return "HEAD moved after the cancel"
    return "" if operator.victims_ended() else "a process that was hit lives on"
