"""Cleaning of labelled text: one spelling for what means the same, and no row twice.

Pure and deterministic: the same rows give the same result on every machine, and cleaning what is clean
changes nothing. What was changed is counted by kind; the counts are all that leaves a party.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from fedmodels.data.rows import LabelledTexts
from fedmodels.spelling import clean_label, drop_invisible, join_whitespace, normalise

_BLOCK_TAGS = (
    "address|article|aside|blockquote|body|br|center|dd|div|dl|dt|footer|h[1-6]|head|header|hr|html|img|li|link|"
    "main|meta|nav|ol|option|p|pre|section|select|table|tbody|td|tfoot|th|thead|title|tr|ul|video"
)
_INLINE_TAGS = "a|abbr|b|big|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
_DROPPED = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(rf"</?(?:{_BLOCK_TAGS})\b[^<>]*>", re.IGNORECASE)
_INLINE = re.compile(rf"</?(?:{_INLINE_TAGS})\b[^<>]*>", re.IGNORECASE)

TEXT_CHANGES = ("unicode", "invisible_characters", "markup", "whitespace")
"""The kinds of change to a text, each counted in rows."""


def clean_text(text: str) -> tuple[str, frozenset[str]]:
    """One text in Unicode NFC, without invisible characters, HTML and surplus white space.

    HTML is a closed list of tags, so that `a < b and c > d` stays. It repeats until nothing changes,
    since an entity may hide a tag (`&lt;br&gt;`): cleaning a clean text is the identity.

    Returns:
        The text and which of `TEXT_CHANGES` were made.
    """
    changes: set[str] = set()
    while True:
        before = text
        for name, step in _STEPS:
            changed = step(text)
            if changed != text:
                changes.add(name)
                text = changed
        if text == before:
            return text, frozenset(changes)


def _drop_markup(text: str) -> str:
    if "<" in text:
        text = _INLINE.sub("", _BLOCK.sub(" ", _DROPPED.sub(" ", text)))
    return html.unescape(text) if "&" in text else text


_STEPS = tuple(zip(TEXT_CHANGES, (normalise, drop_invisible, _drop_markup, join_whitespace), strict=True))


def fold(text: str) -> str:
    """Letters and digits of a text, case-folded; the text itself when it has none.

    Texts that are equal in it are near-duplicates: they differ in case, blanks and punctuation alone.
    """
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def clean_row(value: object, raw_label: object, counts: Counter[str]) -> tuple[str, str]:
    """One row's clean text, empty when there is none, and its label; adds what was changed to `counts`."""
    text, changes = clean_text("" if value is None else str(value))
    label = clean_label(raw_label)
    counts.update(changes)
    counts["labels"] += isinstance(raw_label, str) and raw_label != label
    counts["missing_labels"] += not label
    counts["empty_texts"] += not text
    return text, label


def clean_rows(texts: Sequence[object], labels: Sequence[object]) -> tuple[LabelledTexts, dict[str, int]]:
    """Clean every text and label; drop empty texts, repeated rows and texts with contradicting labels.

    Of equal rows the first stays. Of a text that carries two labels no row stays: nobody knows which
    is right. A row without a label stays, with an empty one: it is the contract's to refuse.

    Args:
        texts: strings, or `None` where there is none.
        labels: strings, numbers or `None`, as many as texts.

    Returns:
        The rows in their order, and counts of rows by kind of change; kinds without a row are left out.
    """
    counts: Counter[str] = Counter()
    cleaned = distinct_rows(clean_each(texts, labels, counts), counts)
    return cleaned, {name: count for name, count in sorted(counts.items()) if count}


def clean_each(
    texts: Sequence[object], labels: Sequence[object], counts: Counter[str]
) -> list[tuple[str, str]]:
    """Every row that has a text, cleaned, as often as it stands there; adds what was changed to `counts`."""
    rows = (clean_row(value, raw_label, counts) for value, raw_label in zip(texts, labels, strict=True))
    return [row for row in rows if row[0]]


def distinct_rows(rows: Iterable[tuple[str, str]], counts: Counter[str]) -> LabelledTexts:
    """Clean rows without repeats and without texts that carry two labels; adds those to `counts`."""
    found: dict[tuple[str, str], None] = {}
    for row in rows:
        counts["exact_duplicates"] += row in found
        found[row] = None
    labels_of = Counter(text for text, label in found if label)
    kept = [row for row in found if labels_of[row[0]] < 2]
    counts["conflicting_labels"] += len(found) - len(kept)
    return as_table(kept)


def as_table(rows: Sequence[tuple[str, str]]) -> LabelledTexts:
    """Pairs of text and label as a table."""
    return LabelledTexts(tuple(text for text, _ in rows), tuple(label for _, label in rows))
