"""Labelled texts: the one shape in which rows travel between reading, cleaning, checks and training."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedmodels.data.recurring import places_without
from fedmodels.errors import DataRefused, FedcartError
from fedmodels.words import counted


@dataclass(frozen=True)
class LabelledTexts:
    """Rows of one table. `labels[i]` belongs to `texts[i]`; an empty label means that none was given."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError(f"{len(self.texts)} texts have {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"LabelledTexts({len(self)} rows)"

    def take(self, positions: Iterable[int]) -> "LabelledTexts":
        """The rows at `positions`, in that order."""
        chosen = tuple(positions)
        return LabelledTexts(
            tuple(self.texts[position] for position in chosen),
            tuple(self.labels[position] for position in chosen),
        )

    def without_texts(self, texts: frozenset[str]) -> "LabelledTexts":
        """The rows whose text is not one of `texts`."""
        return self.take(places_without(self.texts, texts))


def class_indices(
    rows: LabelledTexts, index: Mapping[str, int], table: str, error: type[FedcartError] = DataRefused
) -> list[int]:
    """The class index of each row's label.

    Args:
        rows: n rows.
        index: label to class index.
        table: what an error calls the rows; none of their labels is told.
        error: what to raise.

    Raises:
        DataRefused: rows have a label, or none, that is no class of the model's (`labels-unknown`).
    """
    unknown = sum(label not in index for label in rows.labels)
    if unknown:
        told = f"{unknown} {'has' if unknown == 1 else 'have'} a label that the model does not know"
        raise error(
            f"Of {counted(len(rows), 'row')} of the {table} {told}",
            fix="put the rows of its run back, or train a new run with the labels of now",
            code="labels-unknown",
        )
    return [index[label] for label in rows.labels]
