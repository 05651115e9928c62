"""The last verdict on a party's data, kept in its own folder until data or expectations change.

    contract/RECIPE/verdict.json   what was found, under a hash of everything that decides it
    contract/RECIPE/PART.json      what Great Expectations said of a part, with values of the rows
    contract/RECIPE/index.html     the same for a person, with a page for each part

Nobody but the party's user may open the folder, and nothing of it goes anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from infra.file_hash import file_sha256
from infra.private_files import read_json, write_json, write_private
from tasks.party.contract import Outcome, Terms
from validation.verdict import ContractVerdict, Finding

_FORMAT = 2
"""Raised when the same data and expectations would get another verdict."""
_VERDICT = "verdict.json"


@dataclass(frozen=True)
class ContractCheck:
    """A verdict on a party's data, and where the party reads more."""

    verdict: ContractVerdict
    unchanged: bool
    """Neither data nor expectations have changed since the verdict was found: nothing was evaluated."""
    page: Path
    """The page for a person."""
    train_rows: int
    holdout_rows: int
    cleaned: dict[str, int]


class _Kept(BaseModel):
    """`verdict.json`: no value of a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    until: datetime | None
    train_rows: int
    holdout_rows: int
    cleaned: dict[str, int]
    findings: tuple[Finding, ...]


def contract_folder(workspace: Path, recipe: str) -> Path:
    """Where the verdict on a recipe's data lies in a party's folder."""
    return workspace / "contract" / recipe


def contract_key(terms: Terms) -> str:
    """SHA-256 over all that decides the verdict: the tables' bytes, the contract, the party's expectations.

    It holds the hash of a party's table, so it stays in the party's folder.
    """
    tables = terms.tables
    recipe = terms.recipe.without_paths()
    files = (tables.train, tables.holdout, tables.fresh, tables.expectations)
    decisive: dict[str, object] = {
        "format": _FORMAT,
        "versions": [version("fedcart"), version("great-expectations")],
        "data": recipe.data.model_dump(mode="json"),
        "contract": recipe.contract.model_dump(mode="json"),
        "seed": recipe.seed,
        "labels": list(terms.labels),
        "files": [_sha256(path) for path in files],
    }
    if terms.withdrawn:
        decisive["withdrawn"] = [terms.withdrawn.name, terms.withdrawn.told]
    return sha256_hex(canonical_json(decisive))


def check_unless_kept(
    folder: Path, terms: Terms, key: str | None, check: Callable[[datetime, Path], Outcome]
) -> ContractCheck:
    """The verdict that is kept for `key`, or a new one, which is then kept.

    Args:
        folder: of `contract_folder`.
        terms: what is checked.
        key: of `contract_key`, made before the tables were read; `None` when they have changed meanwhile,
            so that nobody knows what it stands for: the verdict is then new and not kept.
        check: finds a new verdict as of a time, with a private folder for what it leaves on disk meanwhile.

    Raises:
        FedcartError: as `check`; or the disk is full.
    """
    now = datetime.now(UTC)
    kept = _read(folder)
    if kept is not None and kept.key == key and (kept.until is None or now < kept.until):
        return _told(folder, kept, unchanged=True)
    folder.mkdir(parents=True, exist_ok=True)
    for private in (folder.parent, folder):
        private.chmod(0o700)
    outcome = check(now, folder)
    counts = outcome.counts
    found = _Kept(
        key=key or "",
        until=outcome.until,
        train_rows=counts.train,
        holdout_rows=counts.holdout,
        cleaned=dict(counts.cleaned),
        findings=outcome.verdict.findings,
    )
    _write(folder, terms, outcome, found)
    return _told(folder, found, unchanged=False)


def _sha256(path: Path | None) -> str | None:
    """Of a file that is named; empty where it cannot be read, and whoever reads it says why."""
    try:
        return None if path is None else file_sha256(path)
    except OSError:
        return ""


def _read(folder: Path) -> _Kept | None:
    document = read_json(folder / _VERDICT)
    try:
        return None if document is None else _Kept.model_validate(document)
    except ValidationError:
        return None


def _write(folder: Path, terms: Terms, outcome: Outcome, found: _Kept) -> None:
    """The verdict last: a crash before it leaves no verdict, and the next look finds a new one."""
    from validation.contract import as_json
    from validation.docs import contract_pages

    for old in (folder / _VERDICT, *folder.glob("*.json"), *folder.glob("*.html")):
        old.unlink(missing_ok=True)
    for part, result in outcome.full.items():
        write_json(folder / f"{part}.json", as_json(result))
    title = f"Data contract of {terms.recipe.name}"
    for name, page in contract_pages(outcome.verdict, outcome.full, title).items():
        write_private(folder / name, page.encode())
    write_json(folder / _VERDICT, found.model_dump(mode="json"))


def _told(folder: Path, kept: _Kept, *, unchanged: bool) -> ContractCheck:
    from validation.docs import INDEX

    return ContractCheck(
        verdict=ContractVerdict(kept.findings),
        unchanged=unchanged,
        page=folder / INDEX,
        train_rows=kept.train_rows,
        holdout_rows=kept.holdout_rows,
        cleaned=kept.cleaned,
    )
