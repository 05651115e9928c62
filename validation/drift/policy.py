"""What counts as drift: the level of the tests and the least effect of each measure."""

import math
from dataclasses import dataclass, fields

from fedmodels.errors import InputError

_WHOLE = {"min_rows": 20, "bins": 3, "sample_rows": 100, "text_rows": 100, "embedding_rows": 20}
"""Whole numbers of a policy, and the least each may be."""


@dataclass(frozen=True)
class DriftPolicy:
    """Bounds of one drift check. A measure counts only when it is significant *and* above its bound.

    The bounds of numbers are the same shift in three units: half a standard deviation of a bell curve
    has a KS distance of 0.197, a normalised Wasserstein distance of 0.5, and a PSI of about 0.25.

    Raises:
        InputError: `drift-policy`: a value is outside its range.
    """

    alpha: float = 0.01
    """Probability of naming any feature, over the whole check, when nothing has changed."""
    design_effect: float = 1.0
    """Rows that are worth one independent row. 1 for rows that have nothing to do with each other; sentences
    of one review, or orders of one customer, are worth fewer, down to one for all of a group (L. Kish, Survey
    Sampling, 1965). Every test but that of the embeddings counts rows so. It allows for more chance, and
    mends no bias: a group that brings its own categories or words is new to all others, and the reference's
    own rate, of each row against all other rows, does not say so."""
    min_rows: int = 100
    """Rows with a value that a feature needs, in the reference and in the fresh data."""
    psi: float = 0.2
    """Population stability index, corrected for sampling; numbers, lengths and categories."""
    ks: float = 0.2
    """Largest difference of the distribution functions, in [0, 1]."""
    wasserstein: float = 0.5
    """Wasserstein-1 distance in standard deviations of the reference."""
    missing: float = 0.1
    """Change of the share of rows without a value, either way."""
    new_category: float = 0.05
    """Rise of the share of rows whose category the reference does not know."""
    label_shift: float = 0.1
    """Total variation of the label mix: the share of rows that would have to change their label."""
    out_of_vocabulary: float = 0.1
    """Rise of the mean share of a text's words that the reference does not know."""
    embedding: float = 0.03
    """MMD² of the embeddings, as a share of the reference's own spread in the kernel's space."""
    loss: float = 0.2
    """Rise of the mean loss in standard deviations of the reference's losses."""
    calibration: float = 0.05
    """Rise of the expected calibration error, in [0, 1]."""
    bins: int = 10
    """Quantile bins of a number; fewer where the reference has under 40 rows for each."""
    sample_rows: int = 10_000
    """Values of a number that the reference keeps for KS and Wasserstein."""
    text_rows: int = 20_000
    """Fresh texts whose words are looked up, drawn where there are more: this takes most of the time."""
    embedding_rows: int = 300
    """Embeddings that the reference keeps, and that are drawn from fresh data: a kernel costs n²."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _WHOLE:
                least = _WHOLE[field.name]
                if type(value) is not int or value < least:
                    raise _outside(field.name, value, f"a whole number of at least {least}")
            elif type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise _outside(field.name, value, "a finite number of at least 0")
        if not 0 < self.alpha < 0.5:
            raise _outside("alpha", self.alpha, "between 0 and 0.5")
        if self.design_effect < 1:
            raise _outside("design_effect", self.design_effect, "at least 1")


def _outside(name: str, value: object, bound: str) -> InputError:
    return InputError(
        f"The drift policy's {name} is {value!r}, not {bound}", fix="correct it", code="drift-policy"
    )
