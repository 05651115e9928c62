"""The chain of records: each names the hash of the one before it, and HEAD that of the last."""

from collections.abc import Sequence

from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Head, Record


def check_chain(head: Head, records: Sequence[Record]) -> None:
    """Hold the closed rounds against HEAD.

    Args:
        head: HEAD as it was read.
        records: the records of rounds 1 to `head.round`, in order.

    Raises:
        IntegrityError: a record is of another round or run than its place says, or was changed; names it.
    """
    previous: str | None = None
    model: str | None = None
    for place, record in enumerate(records, start=1):
        if (record.run, record.round) != (head.run, place):
            raise _broken(head.run, place, f"is that of round {record.round} of run {record.run}")
        if record.previous_sha256 != previous:
            raise _broken(head.run, place, "does not follow the record before it, which was changed")
        if record.outcome != "passed" and model is not None and record.model_sha256 != model:
            raise _broken(head.run, place, f"is {record.outcome} and yet changes the model")
        previous, model = sha256_hex(canonical_json(record)), record.model_sha256
    if head.round != len(records):
        raise _broken(head.run, len(records), f"is the last one, but HEAD stands at round {head.round}")
    if head.record_sha256 != previous:
        raise _broken(head.run, len(records), "is not the one that HEAD names")
    if model is not None and head.model_sha256 != model:
        raise _broken(head.run, len(records), "has another good model than HEAD")


def _broken(run: str, number: int, how: str) -> IntegrityError:
    return IntegrityError(
        f"The record of round {number} of run {run} {how}",
        fix="restore it from a backup, or start a new run",
        code="chain-broken",
    )
