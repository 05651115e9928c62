"""What the models repository holds of a release: DVC's pointers, and small files that git keeps itself."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import Champion
from infra.dvc_tracking import MODELS, SETS, DvcRemotes, tracking
from infra.keys import ModelKey, PrivateKey, public_key
from infra.layout import architecture_key, model_key, release_key
from infra.model_signatures import CARD, SIGNATURE, signature_fault
from infra.object_store import ObjectStore
from infra.settings import Tables
from tasks.model_folder import write_model_folder
from tasks.reading import read_plan
from tasks.release.lineage import find_lineage
from tasks.release.reading import StandingReport, read_report
from tasks.release.signing import document_release, signature_key

_POINTER = re.compile(r"releases/([^/]+)/champion\.json")


@dataclass(frozen=True)
class Folders:
    """Where a recipe's files lie in the repository."""

    recipe: str

    @property
    def model(self) -> str:
        """DVC's pointer to the model's folder."""
        return f"models/{self.recipe}.dvc"

    @property
    def pointer(self) -> str:
        """The move of the champion, as it stands in the bucket."""
        return f"releases/{self.recipe}/champion.json"

    def holds(self, path: str) -> bool:
        """Whether a path is of this recipe alone."""
        return path == self.model or path.startswith((f"releases/{self.recipe}/", f"sets/{self.recipe}/"))

    @staticmethod
    def write(pointer: Champion) -> bytes:
        """What stands at `pointer`."""
        return canonical_json(pointer)


def folders_of(recipe: str) -> Folders:
    """The recipe's."""
    return Folders(recipe)


def is_pointer(path: str) -> bool:
    """Whether at a path of the repository the champion of some recipe stands."""
    return _POINTER.fullmatch(path) is not None


def folders_at(pointer: str) -> Folders:
    """Of the recipe whose champion stands at a path."""
    found = _POINTER.fullmatch(pointer)
    return Folders(found[1] if found else "")


@dataclass(frozen=True)
class Sources:
    """What a release is recorded from."""

    pointer: Champion
    plan: Plan
    found: StandingReport
    lineage: Lineage | None
    """`None` where none can be opened or made, of a champion whose run is gone say."""
    public: bytes
    """The key that signed the model, PEM."""
    signature: bytes | None = None
    """`None` where the lineage record names none: whoever records it again has to make the same files."""


def gather_sources(
    store: ObjectStore, key: PrivateKey, signing_key: ModelKey, pointer: Champion, work: Path
) -> Sources | None:
    """All that the bucket holds of a release; `None` where its run or model is gone."""
    try:
        plan = read_plan(store, pointer.run)
        found = read_report(store, pointer.recipe, pointer.release)
    except (InputError, IntegrityError):
        return None
    blobs = (model_key(pointer.model_sha256), architecture_key(plan.architecture_sha256))
    if not all(store.exists(blob) for blob in blobs):
        return None
    lineage = _lineage(store, key, signing_key, found, work)
    return Sources(pointer, plan, found, lineage, signing_key.public, _signature(store, found, lineage))


def release_files(
    store: ObjectStore,
    sources: Sources,
    tables: Mapping[str, Tables],
    remotes: DvcRemotes,
    work: Path,
    before_sending: Callable[[Mapping[str, bytes]], None] | None = None,
) -> dict[str, bytes]:
    """Send a release's model and sets to DVC's remotes; return the files that git keeps of it, by path.

    Args:
        store: the bucket.
        sources: of the release.
        tables: the coordinator's own sets; those that are what the run was judged by are kept, too.
        remotes: DVC's.
        work: a folder that only the coordinator reads.
        before_sending: is shown the files, and may refuse them.

    Raises:
        IntegrityError: a blob is damaged; or `release-altered`: it is not the folder that was signed. Where
            `before_sending` says what it has to be, the signature is not looked at.
        InputError: the disk is full.
        StoreUnavailable, StoreRefused: what DVC sends does not arrive.
    """
    from fedmodels.model_card import model_card

    pointer, folders = sources.pointer, folders_of(sources.pointer.recipe)
    below = f"releases/{pointer.recipe}"
    report = sources.found.report
    scores = {"validation": report.validation, "holdout": report.holdout}
    metrics = {name: found.model_dump(mode="json") for name, found in scores.items() if found}
    files = {
        f"{below}/report.json": canonical_json(report),
        f"{below}/metrics.json": json.dumps(metrics, indent=2, sort_keys=True).encode() + b"\n",
    }
    with tracking(remotes, work) as tracked:
        model = tracked.folder / folders.model.removesuffix(".dvc")
        write_model_folder(store, sources.plan, pointer.model_sha256, model)
        if sources.lineage is not None:
            card = model_card(sources.lineage, report)
            (model / CARD).write_text(card, encoding="utf-8")
            files[f"{below}/README.md"] = card.encode()
            files[f"{below}/lineage.json"] = (
                store.read(release_key(pointer.recipe, pointer.release, "lineage")) or b""
            )
        if sources.signature is not None:
            if before_sending is None:
                _verify(model, sources)
            (model / SIGNATURE).write_bytes(sources.signature)
            files[f"{below}/model-signing-key.pub"] = sources.public
        tracks = {folders.model.removesuffix(".dvc"): MODELS}
        for name, table in _own_sets(sources.plan, tables).items():
            place = tracked.folder / "sets" / pointer.recipe / f"{name}{table.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(table, place)
            tracks[place.relative_to(tracked.folder).as_posix()] = SETS
        files |= tracked.track(tracks)
        if before_sending is not None:
            before_sending(files)
        tracked.send()
    return files


def _lineage(
    store: ObjectStore, key: PrivateKey, signing_key: ModelKey, found: StandingReport, work: Path
) -> Lineage | None:
    """The release's record; made now where there is none, of a champion from before there were any say."""
    try:
        standing = find_lineage(store, found, public_key(key))
        return standing or document_release(store, key, signing_key, work, found)
    except (InputError, IntegrityError, RunConflict):
        return None


def _signature(store: ObjectStore, found: StandingReport, lineage: Lineage | None) -> bytes | None:
    if lineage is None or lineage.signature_sha256 is None:
        return None
    return store.read(signature_key(found.report)) or b""


def _verify(model: Path, sources: Sources) -> None:
    """See that what is recorded is what was signed, and by the signature that was promoted.

    Raises:
        IntegrityError: `release-altered`.
    """
    signature, lineage = sources.signature or b"", sources.lineage
    same = lineage is not None and sha256_hex(signature) == lineage.signature_sha256
    fault = (
        signature_fault(model, signature, sources.public)
        if same
        else "has another signature than its lineage record names"
    )
    if fault:
        report = sources.found.report
        raise IntegrityError(
            f"Release {report.release} of {report.recipe} {fault}",
            fix="restore its signature from a backup, or release its model anew",
            code="release-altered",
        )


def _own_sets(plan: Plan, tables: Mapping[str, Tables]) -> dict[str, Path]:
    """Tables of the coordinator that hold the very rows that the run was judged by; others came later."""
    from fedmodels.data.pinned import pin
    from fedmodels.data.prepared import read_prepared

    found = {}
    for name, pinned in (plan.sets or {}).items():
        path: Path | None = getattr(tables.get(plan.recipe.name), name, None)
        if path is not None and path.is_file():
            try:
                same = pin(read_prepared(path, f"coordinator's {name}")) == pinned
            except InputError:  # it is no longer such a table
                same = False
            if same:
                found[name] = path
    return found
