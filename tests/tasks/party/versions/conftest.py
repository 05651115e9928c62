from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.settings import Tables
from infra.versioning.remote import Remote
from tasks.party.versions.desk import VersionDesk
from tasks.party.versions.pinning import pin_tables


class Shop:
    """A party with tables, and a folder as its remote."""

    def __init__(self, place: Path, party: str = "shop-a") -> None:
        self.place, self.party = place, party
        self.remote = place / "remote"
        self.remote.mkdir(parents=True)
        self.recipe = SimpleNamespace(name="mine", data=SimpleNamespace(text="text", label="label"))
        self.patience = 60.0
        self.write("train", 20)
        self.write("holdout", 5)

    @property
    def desk(self) -> VersionDesk:
        return VersionDesk(self.party, self.place / "own", Remote(str(self.remote), {}), self.patience)

    @property
    def tables(self) -> Tables:
        return Tables(**{name: self.place / f"{name}.csv" for name in ("train", "holdout", "fresh")})

    def write(self, name: str, rows: int, word: str = "text") -> None:
        lines = "".join(f"{word} {number},{number % 2}\n" for number in range(rows))
        (self.place / f"{name}.csv").write_text(f"text,label\n{lines}")

    def pin(self, run=None, **more):
        return pin_tables(self.desk, self.recipe, self.tables, run, **more)

    @property
    def cached(self) -> list[Path]:
        cache = self.desk.root / ".dvc" / "cache"
        return sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "shop-a")


@pytest.fixture
def another_shop(tmp_path):
    return Shop(tmp_path / "shop-b", "shop-b")
