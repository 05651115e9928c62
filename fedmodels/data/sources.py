"""Public data sets: how the file of each becomes a table."""

from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.data.rows import LabelledTexts
from fedmodels.errors import IntegrityError

if TYPE_CHECKING:
    import pyarrow as pa

NEGATIVE, POSITIVE = "negative", "positive"


def read_rated_sentences(path: Path, least_sentiment: float = 0.5) -> "pa.Table":
    """Sentences of Amazon product reviews, or tweets, with the mean sentiment that human raters gave them.

    From C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
    Social Media Text", ICWSM 2014; the reviews are those of M. Hu and B. Liu, KDD 2004. A line is
    `REVIEW_SENTENCE <tab> MEAN <tab> TEXT`, the mean in [-4, 4]; a tweet has a number alone, `TWEET`.

    Args:
        path: `amazonReviewSnippets_GroundTruth.txt` or `tweets_GroundTruth.txt`.
        least_sentiment: sentences whose mean is nearer to zero are left out, as neither good nor bad.

    Returns:
        Columns `id` (`12_3`), `group` (the review or tweet, 12), `text`, `label` (`negative` or `positive`)
        and `score` (the mean).

    Raises:
        IntegrityError: a line is not of that form.
    """
    import pyarrow as pa

    rows: list[tuple[str, int, str, str, float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            name, mean, text = line.split("\t")
            group, score = int(name.partition("_")[0]), float(mean)
        except ValueError:
            raise IntegrityError(
                f"Line {number} of {path.name} is not an id, a number and a text", fix="fetch the data again"
            ) from None
        if abs(score) >= least_sentiment:
            rows.append((name, group, text, POSITIVE if score > 0 else NEGATIVE, score))
    kinds = {
        "id": pa.string(),
        "group": pa.int64(),
        "text": pa.string(),
        "label": pa.string(),
        "score": pa.float64(),
    }
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=schema)


def rows_of_groups(table: "pa.Table", groups: frozenset[int]) -> LabelledTexts:
    """The texts and labels of the chosen groups, in the table's order."""
    import pyarrow as pa

    chosen = [position for position, group in enumerate(table["group"].to_pylist()) if group in groups]
    part = table.take(pa.array(chosen, pa.int64()))
    return LabelledTexts(tuple(part["text"].to_pylist()), tuple(part["label"].to_pylist()))
