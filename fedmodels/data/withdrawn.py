"""Rows that a data owner took back: known at the party by keyed hashes of their texts, and by nothing else.

Pure. What is hashed is the text as cleaning leaves it, so that a row is known again whatever markup, white
space or label it comes with. Without the key nobody can tell whether a text that they guess is among them.
"""

import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256

from fedmodels.data.cleaning import clean_text
from fedmodels.data.rows import LabelledTexts

_ROW_PURPOSE, _SET_PURPOSE = b"fedcart withdrawn row v1", b"fedcart withdrawal v1"
COUNT = "withdrawn"
"""Kind of change under which rows that are left out are counted."""


@dataclass(frozen=True, repr=False)
class Withdrawn:
    """The rows that a party leaves out wherever it prepares its tables."""

    key: bytes = b""
    """32 bytes of the party's own; empty where nothing was ever withdrawn."""
    hashes: frozenset[str] = frozenset()
    told: bool = False
    """Whether what is left out is counted among what cleaning changed, which receipts tell."""

    def __repr__(self) -> str:
        return f"Withdrawn({len(self.hashes)} rows)"

    def __len__(self) -> int:
        return len(self.hashes)

    def has(self, text: str) -> bool:
        """Whether the row of this clean text was withdrawn."""
        return bool(self.hashes) and keyed_text(text, self.key) in self.hashes

    def among(self, texts: Iterable[str]) -> frozenset[str]:
        """Those of some clean texts that were withdrawn."""
        return frozenset(filter(self.has, texts)) if self.hashes else frozenset()

    def without(self, rows: LabelledTexts) -> LabelledTexts:
        """The clean rows that were not."""
        return rows.without_texts(self.among(rows.texts))

    @property
    def name(self) -> str:
        """Names this set of rows, under the party's key: 64 hexadecimal digits; empty of none."""
        return keyed_name(self.hashes, self.key) if self.hashes else ""


NOTHING = Withdrawn()


def keyed_text(text: str, key: bytes) -> str:
    """HMAC-SHA256 of a clean text, 64 hexadecimal digits."""
    return hmac.digest(key, _ROW_PURPOSE + b"\0" + text.encode(), "sha256").hex()


def keyed_texts(texts: Iterable[str], key: bytes) -> frozenset[str]:
    """Those of texts as they come; one that cleaning leaves empty is no row, and has none."""
    cleaned = (clean_text(text)[0] for text in texts)
    return frozenset(keyed_text(text, key) for text in cleaned if text)


def keyed_name(hashes: Collection[str], key: bytes) -> str:
    """Names a set of keyed hashes: the same rows have the same name, in whatever order they come."""
    return hmac.new(key, _SET_PURPOSE + b"\0" + "\n".join(sorted(hashes)).encode(), sha256).hexdigest()
