"""Which of a party's updates learned from some rows, found at the party from what it has kept. No Prefect.

A receipt names the rows behind its update by a hash under the party's own key. What rows those were is told,
in this order, by the rows that the party kept of its trainings, by its tables as they are now, and by the
versions of them that it pinned: prepared anew, they show that hash or they do not. A version that does not,
though a receipt names it, counts by what it holds. One that only the party's own note of runs names may be of
another round: that the rows are not in it tells nothing. Where there is nothing at all, the update counts.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fedmodels.data.prepared import PreparedTables, keyed_data_hash, prepare_party_tables
from fedmodels.data.versions import PinnedVersion
from fedmodels.data.withdrawn import NOTHING, Withdrawn, keyed_text
from fedmodels.errors import DataRefused, IntegrityError
from fedmodels.protocol.messages import Plan
from infra.keys import data_hash_key
from infra.settings import Tables
from infra.versioning.cache import TableCache, table_cache
from tasks.party.forgetting_desk import ForgettingDesk, OwnReceipt
from tasks.party.kept_rows import drift_folder, kept_texts
from tasks.party.withdrawn import is_damaged, lists_so_far
from tasks.working_files import LOOKED_THROUGH

Side = Literal["trained", "scored", "unknown", "neither"]
"""What became of withdrawn rows: learned from, only held out, nobody knows any more, or not there."""
Report = Callable[[int, int], None]
"""Told how many sets of rows were looked at, and of how many."""


@dataclass(frozen=True, repr=False)
class Found:
    """What became of withdrawn rows in one set of rows, and the keyed hashes of those that stand in it."""

    side: Side
    rows: frozenset[str] = frozenset()


_UNKNOWN = Found("unknown")


@dataclass(frozen=True, repr=False)
class _Texts:
    """Clean texts of one training."""

    train: frozenset[str]
    holdout: frozenset[str]

    def find(self, rows: Withdrawn) -> Found:
        trained, scored = rows.among(self.train), rows.among(self.holdout)
        side: Side = "trained" if trained else "scored" if scored else "neither"
        return Found(side, frozenset(keyed_text(text, rows.key) for text in trained | scored))


def sides_of(
    desk: ForgettingDesk,
    receipts: Iterable[OwnReceipt],
    rows: Withdrawn,
    known: Mapping[str, Found],
    report: Report = lambda _done, _total: None,
) -> dict[str, Found]:
    """What became of the rows in each set of rows that the receipts name, by its keyed hash.

    Args:
        desk: of the party.
        receipts: the party's own, of the recipe.
        rows: what is looked for.
        known: what an earlier look at the same rows found.
        report: told of the progress.

    Raises:
        FedcartError: the list of withdrawn rows is damaged, or the remote cannot be had now.
    """
    by_hash: dict[str, list[OwnReceipt]] = {}
    for receipt in receipts:
        by_hash.setdefault(receipt.data_hash, []).append(receipt)
    found = dict(known)
    for done, (data_hash, ours) in enumerate(sorted(by_hash.items())):
        report(done, len(by_hash))
        if data_hash not in found:
            found[data_hash] = _side(desk, data_hash, ours, rows)
    report(len(by_hash), len(by_hash))
    return found


def history_fault(desk: ForgettingDesk) -> IntegrityError | None:
    """Why the history of the party's data versions tells nothing; `None` where it does, or never was any.

    A right does not wait for a backup: what only the history could tell then counts.
    """
    try:
        _listed(desk)
    except IntegrityError as error:
        return error
    return None


def _listed(desk: ForgettingDesk) -> tuple[PinnedVersion, ...]:
    """The party's versions of the recipe; none where there never was any.

    Raises:
        IntegrityError: their history is damaged or gone.
    """
    versions = desk.versions
    if not versions.has_history():
        return ()
    with versions.locked():
        return versions.read(versions.history(), desk.recipe)


def _side(desk: ForgettingDesk, data_hash: str, receipts: list[OwnReceipt], rows: Withdrawn) -> Found:
    kept = kept_texts(drift_folder(desk.workspace, desk.recipe), data_hash) if data_hash else None
    if kept is not None:
        return _Texts(*kept).find(rows)
    plan = next((receipt.plan for receipt in receipts if receipt.plan is not None), None)
    if plan is None:  # nobody knows any more how the rows were prepared
        return _UNKNOWN
    with suppress(DataRefused):  # a table that is damaged or gone tells nothing of what was
        for fresh in dict.fromkeys((desk.tables.fresh, None)):
            exact = _exact(desk, _prepared(desk.tables.model_copy(update={"fresh": fresh}), plan), data_hash)
            if exact is not None:
                return exact.find(rows)
    return _of_versions(desk, plan, data_hash, receipts, rows)


def _of_versions(
    desk: ForgettingDesk, plan: Plan, data_hash: str, receipts: list[OwnReceipt], rows: Withdrawn
) -> Found:
    found: list[Found] = []
    told = any(receipt.version for receipt in receipts)
    for prepared in _versions(desk, plan, receipts):
        if prepared is None:
            found.append(_UNKNOWN)
            continue
        exact = _exact(desk, prepared, data_hash)
        if exact is not None:
            return exact.find(rows)
        holds = _Texts(frozenset(prepared.train.texts), frozenset(prepared.holdout.texts)).find(rows)
        found.append(holds if told or holds.side == "trained" else replace(holds, side="unknown"))
    sides: tuple[Side, ...] = ("trained", "unknown", "scored", "neither")
    of_all = [side for side in sides if side in {each.side for each in found}]
    return Found(of_all[0] if of_all else "unknown", frozenset(row for each in found for row in each.rows))


def _versions(
    desk: ForgettingDesk, plan: Plan, receipts: list[OwnReceipt]
) -> Iterator[PreparedTables | None]:
    """The versions that the receipts' trainings came from, prepared anew; `None` of one that is gone."""
    versions = desk.versions
    try:
        listed = _listed(desk)
    except IntegrityError:
        yield None
        return
    if not listed:
        return
    with versions.locked():
        for left in desk.workspace.glob(f"{LOOKED_THROUGH}*"):  # rows that a killed process had brought back
            shutil.rmtree(left, ignore_errors=True)
        used = [version for version in listed if _was_used(desk, version, receipts)]
        if not used:
            return
        with table_cache(versions.root, desk.party, versions.remote) as cache:
            for version in used:
                yield _brought_back(cache, desk.workspace, version, plan)


def _was_used(desk: ForgettingDesk, version: PinnedVersion, receipts: list[OwnReceipt]) -> bool:
    """By what the receipts name or, where the party tells nothing, by its own note of runs."""
    named = {receipt.version for receipt in receipts if receipt.version}
    if named:
        return version.keyed_hash in named
    return any((desk.versions.uses(version) / receipt.run).exists() for receipt in receipts)


def _brought_back(
    cache: TableCache, workspace: Path, version: PinnedVersion, plan: Plan
) -> PreparedTables | None:
    with tempfile.TemporaryDirectory(prefix=LOOKED_THROUGH, dir=workspace) as folder:
        paths = {name: Path(folder) / f"{name}{table.suffix}" for name, table in version.tables.items()}
        try:
            for name, table in version.tables.items():
                cache.bring_back(table.md5, paths[name])
            return _prepared(Tables.model_validate(paths), plan)
        except (DataRefused, IntegrityError) as error:
            if isinstance(error, IntegrityError) and error.code != "version-damaged":
                raise
            return None


def _prepared(tables: Tables, plan: Plan) -> PreparedTables:
    recipe = plan.recipe
    return prepare_party_tables(
        tables.train, tables.holdout, recipe.data, plan.labels, seed=recipe.seed, fresh=tables.fresh
    )


def _exact(desk: ForgettingDesk, prepared: PreparedTables, data_hash: str) -> _Texts | None:
    """The texts behind a keyed hash, if these rows have it less what the list has held at some time."""
    key = data_hash_key(desk.signing_key)
    given_up = desk.new_list and is_damaged(desk.workspace, desk.recipe)
    for left_out in (NOTHING,) if given_up else lists_so_far(desk.workspace, desk.recipe):
        train = left_out.without(prepared.train)
        if keyed_data_hash(train, key) == data_hash:
            holdout = left_out.without(prepared.holdout)
            return _Texts(frozenset(train.texts), frozenset(holdout.texts))
    return None
