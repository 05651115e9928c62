"""Labelled texts: the one shape in which rows travel between reading, cleaning, checks and training."""

from collections.abc import Iterable
from dataclasses import dataclass

from fedmodels.data.recurring import places_without


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
