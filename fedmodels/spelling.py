"""One spelling for what means the same: Unicode, invisible characters, white space, and numbers as labels."""

import math
import re
import unicodedata

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f"  # control characters that are no white space
    "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"  # soft hyphen, width and direction marks
    "\ud800-\udfff]"  # halves of surrogate pairs, which UTF-8 cannot hold
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")


def normalise(text: str) -> str:
    """The text in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", text)


def drop_invisible(text: str) -> str:
    """The text without characters that nobody sees."""
    return _INVISIBLE.sub("", text)


def join_whitespace(text: str) -> str:
    """The text with one blank where it has white space."""
    return " ".join(text.split())


def clean_label(value: object) -> str:
    """The label as a string: `1`, `1.0` and `"1"` are one label, and so are `" good "` and `"good"`.

    `None`, NaN and blank strings become the empty string, which means that no label was given.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    label = join_whitespace(drop_invisible(normalise(str(value))))
    if _NUMBER.fullmatch(label) and "." in label:
        label = label.rstrip("0").rstrip(".")
    return "0" if label == "-0" else label
