"""The coordinator's sets as a plan pins them: the rows that judge a run must be the same to its end."""

import hashlib
from collections.abc import Mapping

from fedmodels.data.rows import LabelledTexts
from fedmodels.protocol.messages import PinnedSet


def pin(rows: LabelledTexts) -> PinnedSet:
    """Number and hash of the rows, in their order; no row can be read from it.

    Whoever holds all of a set's rows, in order, can tell that they are it.
    """
    digest = hashlib.sha256()
    for text, label in zip(rows.texts, rows.labels, strict=True):
        for part in (text.encode(), label.encode()):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return PinnedSet(rows=len(rows), sha256=digest.hexdigest())


def changed_sets(pinned: Mapping[str, PinnedSet], standing: Mapping[str, LabelledTexts]) -> tuple[str, ...]:
    """Names of the standing sets that are not what was pinned under their name."""
    return tuple(name for name, rows in standing.items() if pinned.get(name) != pin(rows))
