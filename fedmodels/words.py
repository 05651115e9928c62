"""Words that depend on a number, numbers as people read them, and somebody else's words in Markdown."""

import re

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
"""All of ASCII's: a backslash before any of it is not shown."""


def counted(number: int, noun: str) -> str:
    """`1 round`, `2 rounds`, `2 parties`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {re.sub(r'(?<=[^aeiou])y$', 'ie', noun)}s"


def short_number(value: float) -> str:
    """At most four places behind the point, and none that says nothing: `0.0333`, `0.5`, `90000000`."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def plain(text: str) -> str:
    """Somebody else's sentence as one line in which Markdown sees no image, link, table or HTML."""
    return _PUNCTUATION.sub(r"\\\g<0>", " ".join(text.split()))
