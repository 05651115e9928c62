"""Releases in the models repository: what `gto show`, `dvc get` and `dvc.api.open` of other people find.

The bucket is the truth, and the repository follows it. Each move of the champion is one commit; the release
has a tag of its own, and the champion's stage one for each move. What is missing is made of what stands in
the bucket, whoever comes next: so nothing is half-released, whenever a process ends. No Prefect.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedmodels.errors import InputError, IntegrityError, RunError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.releases import Champion, stage_tag, version_tag
from infra.dvc_tracking import MODELS, DvcRemotes, find_damage, remotes_from_settings
from infra.keys import ModelKey, PrivateKey, role_model_key
from infra.layout import past_champion_key
from infra.models_repository import ModelsRepository, open_models_repository, recorded_tags
from infra.object_store import ObjectStore
from infra.settings import Settings, Tables
from tasks.release.common_files import common_files
from tasks.release.reading import read_history, released_recipes
from tasks.release.recorded_files import folders_of, gather_sources, release_files
from tasks.release.recorded_moves import commit_of, recorded_moves


@dataclass(frozen=True)
class Recorder:
    """What it takes to record releases: the bucket, the coordinator's keys and sets, and the repository."""

    store: ObjectStore
    key: PrivateKey
    model_key: ModelKey
    tables: Mapping[str, Tables]
    remotes: DvcRemotes
    place: str | None
    """Path or URL of the repository; `None`: one of the coordinator's own."""
    folder: Path
    """The coordinator's."""

    @property
    def own(self) -> Path:
        """The coordinator's own repository, or the mirror of one that a URL names."""
        return self.folder / "models-repository"


@dataclass(frozen=True)
class Recorded:
    """What was put into the repository: tags that were missing, and releases that cannot be recorded."""

    tags: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Tags of releases whose run or model is gone from the bucket, or damaged or not as it was signed."""
    mended: tuple[str, ...] = ()
    """Tags of releases whose files were missing or damaged in DVC's remote, and were sent again."""

    def __add__(self, other: "Recorded") -> "Recorded":
        return Recorded(self.tags + other.tags, self.lost + other.lost, self.mended + other.mended)


def recorder_from_settings(settings: Settings, store: ObjectStore, key: PrivateKey) -> Recorder:
    """The coordinator's own."""
    return Recorder(
        store,
        key,
        role_model_key(settings.model_signing_key, settings.role),
        settings.tables,
        remotes_from_settings(settings),
        settings.models_repository,
        settings.workspace,
    )


def tags_there(settings: Settings) -> frozenset[str]:
    """Tags that the coordinator's repository, or its mirror, holds; nothing is fetched or made for that."""
    return recorded_tags(settings.models_repository, settings.workspace / "models-repository")


def record_all(recorder: Recorder, *, thorough: bool = False) -> Recorded:
    """Record what is missing of every recipe, and send again what DVC's remote lacks.

    Args:
        recorder: the coordinator's.
        thorough: read all that the remote holds, to find what was damaged there.

    Raises:
        FedcartError: as `record_releases`; of the other recipes, what can be is recorded first.
    """
    done, faults = Recorded(), []
    for recipe in released_recipes(recorder.store):
        try:
            done += record_releases(recorder, recipe, thorough=thorough)
        except RunError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    return done


def record_releases(recorder: Recorder, recipe: str, *, thorough: bool | None = None) -> Recorded:
    """Let the repository follow the champions of a recipe, and push what it lacks.

    Args:
        recorder: the coordinator's.
        recipe: name of the recipe.
        thorough: as `record_all`; `None`: DVC's remote is not looked at.

    Raises:
        InputError: `models-missing`; or `models-name`: GTO takes no such name.
        RunConflict: `models-dirty`, `models-branch`, `models-busy`.
        IntegrityError: `models-rewritten`: the repository says something else than the bucket; or
            `champions-broken`: the bucket has no champion any more, and the repository one.
        RunError: `models-remote`, `models-lost`.
        StoreUnavailable: the store does not answer.
    """
    if not read_history(recorder.store, recipe):
        _refuse_lost(recorder, recipe)
        return Recorded()
    if not recipe[-1].isalnum():
        raise InputError(
            f"The models repository cannot hold releases of {recipe}: GTO's names end in a letter or digit",
            fix="give the recipe another name",
            code="models-name",
        )
    with open_models_repository(recorder.place, recorder.own) as repository:
        moves = recorded_moves(repository, recorder.store, recorder.remotes, [recipe])[recipe]
        history = read_history(recorder.store, recipe)  # later than what another machine may have pushed
        times = dict(_times(recorder.store, history))
        lost = []
        for pointer in history[max(moves, default=0) :]:
            files = _files(recorder, repository, pointer, commit_of(pointer.release, moves, history))
            if files is None:
                lost.append(version_tag(recipe, pointer.release))
                continue
            at = times[pointer.sequence]
            moves[pointer.sequence] = repository.commit(files, _message(pointer), at)
        made, names = _tag(repository, history, moves, times)
        mended = [] if thorough is None else list(_mend(recorder, repository, history, moves, thorough))
        repository.publish(names)
    return Recorded(tuple(made), tuple(dict.fromkeys(lost)), tuple(mended))


def _refuse_lost(recorder: Recorder, recipe: str) -> None:
    if any(tag.startswith(f"{recipe}@") for tag in recorded_tags(recorder.place, recorder.own)):
        raise IntegrityError(
            f"The champion of {recipe} is gone from the bucket, and the models repository shows one",
            fix="restore champion.json of its releases from a backup",
            code="champions-broken",
        )


def _times(store: ObjectStore, history: Sequence[Champion]) -> Iterator[tuple[int, datetime]]:
    """When each move was made, by the store's clock: whoever records it makes the same commit.

    GTO orders tags by their seconds, so that each comes at least one after the one before.
    """
    before: datetime | None = None
    for pointer in history:
        at = store.put_at(past_champion_key(pointer.recipe, sha256_hex(canonical_json(pointer))))
        if at is None or (before is not None and at <= before):
            at = before + timedelta(seconds=1) if before else datetime.fromtimestamp(0, UTC)
        yield pointer.sequence, at
        before = at


def _files(
    recorder: Recorder, repository: ModelsRepository, pointer: Champion, before: str | None
) -> dict[str, bytes | None] | None:
    """What a move changes in the tree; `None` where the release can no longer be made."""
    folders = folders_of(pointer.recipe)
    if before is not None:
        content = {path: data for path, data in repository.files(before).items() if folders.holds(path)}
    else:
        sources = gather_sources(recorder.store, recorder.key, recorder.model_key, pointer, recorder.folder)
        if sources is None:
            return None
        try:
            content = release_files(
                recorder.store, sources, recorder.tables, recorder.remotes, recorder.folder
            )
        except (
            IntegrityError
        ):  # a blob is damaged, or it is not as it was signed: what came later is recorded
            return None
    standing = repository.paths(repository.tip) if repository.tip else frozenset()
    gone = {path: None for path in standing if folders.holds(path)}
    common = common_files({*standing, *content}, recorder.remotes.config())
    return {**gone, **content, **common, folders.pointer: folders.write(pointer)}


def _message(pointer: Champion) -> str:
    what = "Release" if pointer.action == "promote" else "Return to release"
    reason = f"\n\n{pointer.reason}" if pointer.reason else ""
    return (
        f"{what} {pointer.release} of {pointer.recipe}\n\nModel {pointer.model_sha256} of run {pointer.run}, "
        f"by {pointer.by}.{reason}\n"
    )


def _tag(
    repository: ModelsRepository,
    history: Sequence[Champion],
    moves: Mapping[int, str],
    times: Mapping[int, datetime],
) -> tuple[list[str], list[str]]:
    """Put the tags that are missing; return those, and all that stand now."""
    made, names = [], []
    for pointer in history:
        commit = commit_of(pointer.release, moves, history)
        if pointer.sequence not in moves or commit is None:
            continue
        version, stage = version_tag(pointer.recipe, pointer.release), stage_tag(pointer)
        for name in (version, stage):
            if name not in names:
                names.append(name)
                if repository.tag(name, commit, _message(pointer), times[pointer.sequence]):
                    made.append(name)
    return made, names


def _mend(
    recorder: Recorder,
    repository: ModelsRepository,
    history: Sequence[Champion],
    moves: Mapping[int, str],
    thorough: bool,
) -> Iterator[str]:
    """Send again what DVC's remote lacks or was damaged there; the tags of those releases."""
    folders = folders_of(history[0].recipe)
    for release in sorted({each.release for each in history}):
        commit = commit_of(release, moves, history)
        if commit is None:
            continue
        pointer_file = repository.files(commit, folders.model)[folders.model]
        damage = find_damage(recorder.store, MODELS, pointer_file, thorough=thorough)
        if not damage:
            continue
        pointer = next(each for each in history if each.release == release)
        _send_again(recorder, pointer, pointer_file, damage)
        yield version_tag(pointer.recipe, release)


def _send_again(recorder: Recorder, pointer: Champion, wanted: bytes, damage: Sequence[str]) -> None:
    """Remove what is damaged once the same can be made again, and send that."""

    def hold_against(files: Mapping[str, bytes]) -> None:
        if files[folders_of(pointer.recipe).model] != wanted:
            raise _lost(pointer)
        for key in damage:
            recorder.store.delete(key)

    sources = gather_sources(recorder.store, recorder.key, recorder.model_key, pointer, recorder.folder)
    if sources is None:
        raise _lost(pointer)
    release_files(
        recorder.store,
        sources,
        recorder.tables,
        recorder.remotes,
        recorder.folder,
        before_sending=hold_against,
    )


def _lost(pointer: Champion) -> RunError:
    return RunError(
        f"Files of release {pointer.release} of {pointer.recipe} are missing or damaged in DVC's remote, "
        "and cannot be made again as they were",
        fix="restore what lies below private/models from a backup",
        code="models-lost",
    )
