"""Texts against their reference: length, and words that the reference does not know."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validation.drift.columns import Floats, Values, hardly_filled, read_texts, too_few_rows
from validation.drift.findings import Measure
from validation.drift.numbers import NumberProfile, measure_missing, measure_sorted, profile_sorted
from validation.drift.policy import DriftPolicy
from validation.drift.significance import mean_rise

MOST_TESTS = 4
_HAN_AND_KANA = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_HAN_AND_KANA}]|[^\W{_HAN_AND_KANA}]+")


@dataclass(frozen=True, repr=False)
class TextProfile:
    """What a reference keeps of a column of texts, at the party; no text and no word in clear."""

    missing: int
    length: NumberProfile
    """Characters of a text."""
    vocabulary: NDArray[np.uint64]
    """[v] ascending hashes of the reference's words."""
    unknown_mean: float
    """Mean over the reference's texts of the share of words that stand in no other of its texts."""
    unknown_variance: float
    """Variance of that share."""
    unknown_rows: float
    """Texts that a mean known as well would take, if it were one of independent texts."""
    kind: Literal["text"] = "text"


def profile_texts(name: str, values: Values, policy: DriftPolicy, rng: np.random.Generator) -> TextProfile:
    """Keep lengths and hashed vocabulary of a column of texts, [n].

    The reference's own rate of unknown words is that of each text against all the others: the share of
    its words which occur in one text alone. Its mean is known less well than one over n independent texts, by
    the factor 1 + 2 · N2 / N1, with N1 and N2 the words of one text and of two (W.W. Esty, Annals of
    Statistics 1983).

    Raises:
        DataRefused: `drift-wrong-type`, `drift-all-null` or `drift-too-few-values`, which counts rows with
            a word too.
    """
    texts, missing = read_texts(name, values, policy.min_rows)
    rows = _with_words(name, texts, policy.min_rows)
    texts_with = Counter(word for words in rows for word in set(words))
    once = {word: int(number == 1) for word, number in texts_with.items()}
    shares = _shares(rows, once)
    ones, twos = sum(once.values()), sum(number == 2 for number in texts_with.values())
    return TextProfile(
        missing=missing,
        length=profile_sorted(_lengths(texts), 0, policy, rng),
        vocabulary=np.unique(np.fromiter(map(hash_word, texts_with), np.uint64, len(texts_with))),
        unknown_mean=float(shares.mean()),
        unknown_variance=float(shares.var(ddof=1)),
        unknown_rows=len(rows) / (1 + 2 * twos / ones) if ones else float(len(rows)),
    )


def measure_texts(
    name: str, profile: TextProfile, values: Values, policy: DriftPolicy, rng: np.random.Generator
) -> tuple[int, list[Measure]]:
    """Hold fresh texts, [m], against their profile.

    Returns:
        Fresh rows with a text, and the measures `length_psi`, `length_ks`, `length_wasserstein`,
        `out_of_vocabulary`, and `missing` where a row of either side lacks a text; `missing` alone where too
        few rows have one.

    Raises:
        DataRefused: as `profile_texts`.
    """
    reference = profile.length.rows, profile.missing
    if filled := hardly_filled(name, values, policy.min_rows):
        return filled[0], measure_missing(reference, filled, policy)
    texts, missing = read_texts(name, values, policy.min_rows)
    drawn = texts
    if len(texts) > policy.text_rows:
        drawn = [texts[row] for row in rng.choice(len(texts), policy.text_rows, replace=False)]
    rows = _with_words(name, drawn, policy.min_rows)
    shares = _shares(rows, _UnknownWords(profile.vocabulary))
    rise = float(shares.mean()) - profile.unknown_mean
    variances = profile.unknown_variance, float(shares.var(ddof=1))
    worth = profile.unknown_rows / policy.design_effect, len(shares) / policy.design_effect
    p = mean_rise(rise, *variances, *worth)
    unknown = Measure("out_of_vocabulary", "welch_unknown", rise, p, max(0.0, rise), policy.out_of_vocabulary)
    measures = [*measure_sorted(profile.length, _lengths(texts), policy, "length_"), unknown]
    return len(texts), measures + measure_missing(reference, (len(texts), missing), policy)


def words_of(text: str) -> list[str]:
    """The case-folded words of a text; Chinese and Japanese characters each count as a word."""
    return _WORD.findall(text.casefold())


def hash_word(word: str) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())


class _UnknownWords(dict[str, int]):
    """1 for a word that the vocabulary lacks, 0 for another; each word is hashed once."""

    def __init__(self, vocabulary: NDArray[np.uint64]) -> None:
        super().__init__()
        self._known = frozenset(vocabulary.tolist())

    def __missing__(self, word: str) -> int:
        self[word] = int(hash_word(word) not in self._known)
        return self[word]


def _with_words(name: str, texts: Sequence[str], least: int) -> list[list[str]]:
    """The words of each text that has some."""
    rows = [words for words in map(words_of, texts) if words]
    if len(rows) < least:
        raise too_few_rows(name, len(rows), least, "with a word")
    return rows


def _shares(rows: Sequence[Sequence[str]], flags: dict[str, int]) -> Floats:
    """Share of flagged words in each row, [n]; every row holds a word."""
    return np.fromiter(
        (sum(map(flags.__getitem__, words)) / len(words) for words in rows), np.float64, len(rows)
    )


def _lengths(texts: Sequence[str]) -> Floats:
    """Characters of each text, ascending, [n]."""
    lengths = np.fromiter(map(len, texts), np.float64, len(texts))
    lengths.sort()
    return lengths
