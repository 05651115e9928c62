"""A recipe of one's own in a folder: two parties' tables, one holdout, and a table of the coordinator's."""

from pathlib import Path

import yaml

from fedmodels.recipe import Recipe
from flows.recipes import load_recipe


class OwnRecipe:
    """Its tables are there; change `parties` or `coordinator`, then read the recipe anew."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.file = folder, folder / "home", folder / "mine.yaml"
        for name in ("a", "b", "h", "own"):
            rows = "".join(f"{name} says {number},{number % 2}\n" for number in range(120))
            (folder / f"{name}.csv").write_text(f"text,label\n{rows}")
        self.parties = {"shop-a": {"train": "a.csv"}, "shop-b": {"train": "b.csv", "holdout": "h.csv"}}
        self.coordinator = {"table": "own.csv"}

    def recipe(self, **changes: object) -> Recipe:
        """The recipe as its file says now."""
        data = {"parties": self.parties, "coordinator": self.coordinator}
        document = {"name": "mine", "data": data, "model": {"source": "org/name"}, **changes}
        self.file.write_text(yaml.safe_dump(document))
        return load_recipe(str(self.file))
