"""Texts as token ids: encoded once, kept by content, padded only when a batch is made."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedmodels.errors import InputError
from fedmodels.training.kept_arrays import content_name, read_arrays, write_arrays


@dataclass(frozen=True)
class EncodedTexts:
    """n texts as one flat array of token ids: text i is `ids[offsets[i] : offsets[i + 1]]`.

    Args:
        ids: [t] token ids of all texts together.
        offsets: [n + 1] positions, from 0 to t.
        pad_id: the id that fills a batch up; masked out.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad_id: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[n] tokens of each text."""
        return np.diff(self.offsets)

    def batch(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of some texts, both int64 [b, s], padded on the right.

        s is the length of the longest of them.
        """
        longest = int(self.lengths[rows].max())
        ids = np.full((len(rows), longest), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for place, row in enumerate(rows):
            begin, end = self.offsets[row], self.offsets[row + 1]
            ids[place, : end - begin] = self.ids[begin:end]
            mask[place, : end - begin] = 1
        return torch.from_numpy(ids), torch.from_numpy(mask)


def encode_texts(
    tokenizer: Any, texts: Sequence[str], max_length: int, cache: Path | None = None
) -> EncodedTexts:
    """Encode texts with the tokenizer's special tokens, each cut to `max_length` tokens.

    Args:
        tokenizer: a transformers tokenizer.
        texts: n texts.
        max_length: tokens kept, special tokens included.
        cache: folder for the result, under a name derived from tokenizer, length and all texts; a
            damaged file there is encoded again, and one that is used is touched, so that its age is how long
            nobody needed it. Ids are data: the folder is as private as the table.

    Raises:
        InputError: the tokenizer has no padding token.
    """
    if tokenizer.pad_token_id is None:
        raise InputError(
            "The tokenizer has no padding token", fix="choose another model", code="tokenizer-invalid"
        )
    if cache is None:
        return _encode(tokenizer, texts, max_length)
    path = cache / content_name(f"{tokenizer_hash(tokenizer)} {max_length}", texts)
    found = _read(path, len(texts), tokenizer.pad_token_id)
    if found is None:
        found = _encode(tokenizer, texts, max_length)
        write_arrays(path, ids=found.ids, offsets=found.offsets)
    return found


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of what decides the token ids: vocabulary, rules and special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules = tokenizer.get_vocab()
    else:
        # Calls leave their own truncation and padding behind.
        state: dict[str, object] = json.loads(backend.to_str())
        rules = {key: value for key, value in state.items() if key not in ("truncation", "padding")}
    facts = [
        type(tokenizer).__name__,
        rules,
        tokenizer.truncation_side,
        sorted(map(str, tokenizer.all_special_tokens)),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> EncodedTexts:
    encoded: list[list[int]] = (
        tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"] if texts else []
    )
    # A tokenizer without special tokens makes nothing of an empty text; attention needs one position.
    rows = [row or [tokenizer.pad_token_id] for row in encoded]
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    ids = np.fromiter((token for row in rows for token in row), dtype=np.int32, count=int(offsets[-1]))
    return EncodedTexts(ids, offsets, int(tokenizer.pad_token_id))


def _read(path: Path, num_texts: int, pad_id: int) -> EncodedTexts | None:
    found = read_arrays(path, "ids", "offsets")
    if found is None:
        return None
    ids, offsets = found
    if len(offsets) != num_texts + 1 or offsets[-1] != len(ids):
        return None
    return EncodedTexts(ids, offsets, pad_id)
