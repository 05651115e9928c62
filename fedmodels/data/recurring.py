"""Texts that recur, such as stock phrases, and how new rows are held against old ones in spite of them.

Whoever looks for rows that a model has not met can only go by their texts: a file is appended to, written
anew or sorted. A stock phrase is then never new, and what is new has fewer of them than the old rows do,
though nothing has changed. So the old rows are thinned as the new ones are: a new row counts if none of the
old ones has its text, and an old row counts if no other old one has. Of n old rows, a share of P(row has a
property, and its text stands in none of n - 1 others) has a text of its own, and of new rows a share of P(row
has it, and its text stands in none of n others) is new: the two differ by one row in n (I.J. Good, "The
population frequencies of species and the estimation of population parameters", Biometrika 1953).

New rows must not be made distinct among themselves: of a phrase that is new and common only one would stay.
"""

from collections import Counter
from collections.abc import Iterable, Sequence


def repeated_texts(texts: Iterable[str]) -> frozenset[str]:
    """The texts that stand in more than one row of a table."""
    return frozenset(text for text, rows in Counter(texts).items() if rows > 1)


def places_without(texts: Sequence[str], left_out: frozenset[str]) -> list[int]:
    """Where the texts stand that are not left out: of old rows those that recur, of new ones the old ones."""
    return [place for place, text in enumerate(texts) if text not in left_out]
