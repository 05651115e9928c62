"""Whether it can be said where a candidate comes from. Pure."""

from collections.abc import Iterator, Sequence

from fedmodels.protocol.lineage import RunMessages
from fedmodels.protocol.releases import ReleaseCheck
from fedmodels.protocol.withdrawal import Touch, all_in_words
from fedmodels.words import counted


def check_lineage(messages: RunMessages) -> Iterator[ReleaseCheck]:
    """`lineage`: every receipt that counts still stands. `lineage/code`: the commit says what was run.

    The second one is told and refuses nothing: who develops a recipe has changes that no commit holds yet.
    """
    receipts, gone = len(messages.receipts), len(messages.missing)
    there = f"{receipts - gone} of {counted(receipts, 'receipt')} that count stand as they were decided on"
    yield ReleaseCheck(
        name="lineage",
        value=float(gone),
        bound=0.0,
        verdict="failed" if gone else "passed",
        sentence=f"{there}." if not gone else f"{there}: nobody could say what the model learned from.",
    )
    yield ReleaseCheck(
        name="lineage/code",
        value=None,
        bound=None,
        verdict="reported",
        sentence=_code_in_words(messages),
    )


def check_withdrawn(touches: Sequence[Touch]) -> Iterator[ReleaseCheck]:
    """`withdrawn`: no update that the model learned from is one that its party has withdrawn."""
    told = all_in_words(touches)
    yield ReleaseCheck(
        name="withdrawn",
        value=float(len(touches)),
        bound=0.0,
        verdict="failed" if touches else "passed",
        sentence=f"The model {told}." if touches else "It learned from nothing that was withdrawn.",
    )


def _code_in_words(messages: RunMessages) -> str:
    here = messages.plan.environment
    others = [each.environment for each in messages.receipts.values() if each and each.environment]
    if here is None or not here.code:
        return "It is not known which commit the coordinator ran, so the model cannot be made again."
    told = f"The coordinator ran commit {here.code[:12]}"
    if here.modified:
        return f"{told} with changes that no commit holds, so the model cannot be made again from it."
    differing = sum(each.code != here.code or each.modified for each in others)
    if differing:
        return f"{told}; other code made {counted(differing, 'receipt')}."
    return f"{told}, and so did every party that says what it ran."
