"""What a party hands in, read strictly: each column becomes arrays of one kind or is refused.

A column of numbers, categories or texts may lack values: `None` or NaN. Whatever is refused is named by
its feature, counts and types alone.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmodels.errors import DataRefused
from fedmodels.words import counted

Floats = NDArray[np.float64]
LARGEST = 1e100
"""Numbers beyond it are refused: their squares have no float any more, and no spread could be taken."""
LARGEST_IN_EMBEDDING = 1e15
"""The same for float32."""
_CATEGORY_TYPES = {str: "str", bool: "bool", int: "int"}


@dataclass(frozen=True, repr=False)
class Scored:
    """A model's predictions on labelled rows.

    Raises:
        DataRefused: `drift-wrong-type`: the lengths differ.
    """

    confidence: Floats
    """[n] probability of the predicted class, in [0, 1]."""
    correct: NDArray[np.bool_]
    """[n] whether the prediction is the label."""

    def __post_init__(self) -> None:
        if len(self.confidence) != len(self.correct):
            raise DataRefused(
                f"{len(self.confidence)} confidences have {len(self.correct)} verdicts",
                fix="give one of each a row",
                code="drift-wrong-type",
            )

    def __repr__(self) -> str:
        return f"Scored({len(self.confidence)} rows)"


Values = Sequence[Any] | NDArray[Any] | Scored
"""One column: numbers [n], categories [n], texts [n], embeddings [n, d], losses [n], or `Scored`."""


@dataclass(frozen=True, repr=False)
class Categories:
    """Rows of each category, and the one type that they all have."""

    counts: Counter[str]
    type_name: str
    missing: int


def read_numbers(name: str, values: Values, least: int) -> tuple[Floats, int]:
    """The numbers of a column in ascending order, and how many rows lack one.

    Raises:
        DataRefused: `drift-wrong-type`, `drift-not-finite`, `drift-all-null` or `drift-too-few-values`.
    """
    numbers = _floats(name, values, dimensions=1)
    present = numbers[~np.isnan(numbers)]
    _require_rows(name, len(present), len(numbers), least, "number")
    _require_finite(name, present)
    present.sort()
    return present, len(numbers) - len(present)


def read_losses(name: str, values: Values, least: int) -> Floats:
    """The losses of a column, [n]; none may be missing. Raises as `read_numbers`."""
    losses = _floats(name, values, dimensions=1)
    _require_rows(name, len(losses), len(losses), least)
    _require_finite(name, losses)
    return losses


def read_embeddings(name: str, values: Values, least: int) -> NDArray[np.float32]:
    """The embeddings of a column, [n, d] in float32; none may be missing. Raises as `read_numbers`."""
    rows = _floats(name, values, dimensions=2)
    if rows.shape[1] == 0:
        raise _wrong_type(name, "embeddings of width 0", "at least one number a row")
    _require_rows(name, len(rows), len(rows), least)
    _require_finite(name, rows, LARGEST_IN_EMBEDDING)
    return rows.astype(np.float32)


def read_scored(name: str, values: Values, least: int) -> Scored:
    """Confidences in float64 and verdicts of a model. Raises as `read_numbers`."""
    if not isinstance(values, Scored):
        raise _wrong_type(name, type(values).__name__, "Scored")
    confidence = _floats(name, values.confidence, dimensions=1)
    correct = np.asarray(values.correct)
    if correct.dtype != np.bool_ or correct.ndim != 1:
        raise _wrong_type(name, f"verdicts of {correct.dtype}", "booleans in one dimension")
    _require_rows(name, len(correct), len(correct), least)
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise _wrong_type(name, "confidences outside [0, 1]", "probabilities")
    return Scored(confidence, correct)


def read_categories(name: str, values: Values, least: int) -> Categories:
    """Rows of each category; all are `str`, `bool` or `int`. Raises as `read_numbers`."""
    present, missing = _present(name, values)
    _require_rows(name, len(present), len(present) + missing, least)
    types = set(map(type, present))
    if len(types) != 1 or not types <= _CATEGORY_TYPES.keys():
        found = " and ".join(sorted(kind.__name__ for kind in types))
        raise _wrong_type(name, found, "categories of one type: str, bool or int")
    return Categories(Counter(map(str, present)), _CATEGORY_TYPES[types.pop()], missing)


def read_texts(name: str, values: Values, least: int) -> tuple[list[str], int]:
    """The texts of a column in their order, and how many rows lack one. Raises as `read_numbers`."""
    present, missing = _present(name, values)
    _require_rows(name, len(present), len(present) + missing, least)
    types = set(map(type, present))
    if types != {str}:
        raise _wrong_type(name, " and ".join(sorted(kind.__name__ for kind in types)), "str")
    return present, missing


def hardly_filled(name: str, values: Values, least: int) -> tuple[int, int] | None:
    """(present, missing) rows of a column that has rows enough and too few values to compare; else `None`.

    Raises:
        DataRefused: `drift-wrong-type`: it is no column of single values.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim == 1:
        present, missing = int((~np.isnan(values)).sum()), int(np.isnan(values).sum())
    else:
        filled, missing = _present(name, values)
        present = len(filled)
    return (present, missing) if present < least <= present + missing else None


def too_few_rows(name: str, rows: int, least: int, what: str = "with a value") -> DataRefused:
    """The error for a feature that no test can use."""
    return DataRefused(
        f"Feature {name} has {counted(rows, 'row')} {what}, and the tests need {least}",
        fix="check a longer window of rows",
        code="drift-too-few-values",
    )


def _present(name: str, values: Values) -> tuple[list[Any], int]:
    if isinstance(values, Scored) or not _is_column(values):
        raise _wrong_type(name, type(values).__name__, "one value a row")
    rows = values.tolist() if isinstance(values, np.ndarray) else list(values)
    present = [value for value in rows if value is not None and value == value]
    return present, len(rows) - len(present)


def _is_column(values: Values) -> bool:
    """Whether it is one value a row. A list is looked through: an array pads each text to the longest."""
    if isinstance(values, np.ndarray):
        return values.ndim == 1
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        return False
    return not any(isinstance(value, (list, tuple, np.ndarray)) for value in values)


def _floats(name: str, values: Values, dimensions: int) -> Floats:
    if isinstance(values, (str, bytes, Scored)):
        raise _wrong_type(name, type(values).__name__, "numbers")
    if not isinstance(values, np.ndarray) or values.dtype == object:
        values = _from_objects(name, values)
    if values.dtype.kind not in "iuf":
        raise _wrong_type(name, str(values.dtype), "numbers")
    if values.ndim != dimensions:
        raise _wrong_type(name, f"an array of {values.ndim} dimensions", f"{dimensions}")
    return values.astype(np.float64)


def _from_objects(name: str, values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Numbers out of Python's own, of which some may be None."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise _wrong_type(name, "rows of different lengths", "numbers") from None
    if array.dtype != object:
        return array if array.size else array.astype(np.float64)
    if array.ndim != 1:
        raise _wrong_type(name, "an array of objects", "numbers")
    numbers = [math.nan if value is None else value for value in array.tolist()]
    strange = {type(value).__name__ for value in numbers if type(value) not in (int, float)}
    if strange:
        raise _wrong_type(name, " and ".join(sorted(strange)), "numbers")
    return np.asarray(numbers, dtype=np.float64)


def _require_rows(name: str, present: int, rows: int, least: int, what: str = "value") -> None:
    if rows and not present:
        raise DataRefused(
            f"All {counted(rows, 'row')} of feature {name} lack a {what}",
            fix="look for what no longer fills the column",
            code="drift-all-null",
        )
    if present < least:
        raise too_few_rows(name, present, least)


def _require_finite(name: str, values: Floats, largest: float = LARGEST) -> None:
    strange = int(values.size - (np.abs(values) <= largest).sum())
    if strange:
        raise DataRefused(
            f"Feature {name} holds {counted(strange, 'number')} not finite or beyond {largest:g} in size",
            fix="remove or correct them",
            code="drift-not-finite",
        )


def _wrong_type(name: str, found: str, expected: str) -> DataRefused:
    return DataRefused(
        f"Feature {name} holds {found}, and the check expects {expected}",
        fix="correct the column or build a new reference",
        code="drift-wrong-type",
    )
