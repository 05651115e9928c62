"""The verdict on one message: is it there, itself, at home, and in line with the rest?"""

from collections.abc import Sequence
from typing import NamedTuple

from fedmodels.protocol.messages import Message
from tasks.verifying.findings import Finding, Verdict, told_apart
from tasks.verifying.snapshot import Held, Snapshot, key_of, parse_any

NAMED = "other messages name it"
"""Why what is not there was deleted: a sweep takes neither messages nor a model that one names,
and a prune notes the models that it takes."""


class Pin(NamedTuple):
    """The hash that a message must have, and the object that says so."""

    sha256: str
    by: str


def judge(
    snapshot: Snapshot,
    held: Held[Message],
    *,
    pin: Pin | None = None,
    faults: Sequence[str] = (),
    note: str = "",
) -> Finding:
    """The verdict on what stands at a message's key.

    Args:
        snapshot: the run's messages, to tell where a misplaced one belongs.
        held: what stands at the key.
        pin: the hash that another message names, if that one can be trusted.
        faults: what does not follow from the other messages. With the right hash they are no change of
            the message but a contradiction in it.
        note: what is worth saying when nothing is wrong.
    """
    if not held.there:
        return Finding(held.key, "deleted", NAMED)
    if pin and pin.sha256 == held.sha256 and held.message is not None:
        return Finding(held.key, "disagrees" if faults else "ok", "; ".join(faults) or note)
    if misplaced := _misplaced(snapshot, held.key):
        return misplaced
    if held.message is None:
        return Finding(held.key, "changed", "it is no valid message of its kind")
    if pin:
        found, named = told_apart(held.sha256, pin.sha256)
        stated = f"its SHA-256 is {found}, but {pin.by} names {named}"
        return Finding(held.key, "changed", "; ".join([stated, *faults]))
    if not held.canonical:
        return Finding(held.key, "changed", "its JSON is not spelt as messages are written")
    if _home(held.message, snapshot.run) != held.key:
        return Finding(held.key, "changed", "it names another run, round or party")
    return Finding(held.key, "changed" if faults else "ok", "; ".join(faults) or note)


def _misplaced(snapshot: Snapshot, key: str) -> Finding | None:
    """Whether a message stands here that belongs elsewhere; one that merely says so was changed."""
    data = snapshot.objects[key]
    message = parse_any(data)
    if message is None or (home := _home(message, snapshot.run)) == key:
        return None
    if (run := str(getattr(message, "run", snapshot.run))) != snapshot.run:
        return Finding(key, "swapped", f"it belongs to run {run}") if run in snapshot.runs else None
    there = snapshot.objects.get(home)
    if there is None:
        return None
    tenant = parse_any(there)
    if there != data and tenant is not None and _home(tenant, snapshot.run) == home:
        return None
    verdict: Verdict = "reordered" if _without_round(home) == _without_round(key) else "swapped"
    return Finding(key, verdict, f"it {'is a copy of' if there == data else 'belongs at'} {home}")


def _home(message: Message, run: str) -> str:
    if (named := getattr(message, "run", run)) != run:
        return f"run {named}"
    return key_of(type(message), run, getattr(message, "round", 0), getattr(message, "party", ""))


def _without_round(key: str) -> str:
    head, separator, tail = key.partition("/rounds/")
    return f"{head}{separator}{tail.partition('/')[2]}"
