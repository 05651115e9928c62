"""The champion as a party sees it: its plan, the round that made it, and the rows that this party gave it."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fedmodels.data.prepared import keyed_data_hash, prepare_party_tables
from fedmodels.data.withdrawn import NOTHING
from fedmodels.errors import InputError
from fedmodels.protocol.messages import Plan, Receipt, Signed
from fedmodels.protocol.releases import Champion
from infra.keys import data_hash_key
from infra.layout import receipt_key
from tasks.drift.desk import DriftDesk
from tasks.exchange import read_message
from tasks.models import fetch_model, forget_models
from tasks.party.kept_rows import TrainedRows, keep_rows, no_rows, read_rows, rows_without
from tasks.reading import read_plan
from tasks.release.reading import read_champion, read_request
from tasks.workbenches import open_workbench

if TYPE_CHECKING:
    from fedmodels.workbench import Workbench


@dataclass(frozen=True)
class Released:
    """The champion, the plan of its run, and the round in which it passed the gate."""

    champion: Champion
    plan: Plan
    round: int

    @property
    def model_sha256(self) -> str:
        """Of the champion."""
        return self.champion.model_sha256


def find_released(desk: DriftDesk) -> Released:
    """The champion of the desk's recipe.

    Raises:
        InputError: `drift-no-champion`: none was released; `drift-disabled`: its recipe watches no drift;
            `drift-not-a-party`: this party had no part in its run.
    """
    champion = read_champion(desk.store, desk.recipe)
    if champion is None:
        raise InputError(
            f"The recipe {desk.recipe} has no champion whose data fresh rows could be held against",
            fix="train and release a model first",
            code="drift-no-champion",
        )
    plan = read_plan(desk.store, champion.run)
    if not plan.recipe.drift.enabled:
        raise InputError(
            f"The recipe {desk.recipe} of the champion watches no drift",
            fix="set drift.enabled and train anew",
            code="drift-disabled",
        )
    if desk.party not in plan.parties:
        raise InputError(
            f"Party {desk.party} had no part in the run {champion.run} of the champion",
            fix="let it take part in the next one",
            code="drift-not-a-party",
        )
    request = read_request(desk.store, desk.recipe, champion.release)
    return Released(champion, plan, request.round)


def trained_hash(desk: DriftDesk, released: Released) -> str:
    """Keyed hash of the rows that this party gave the champion: of its last update up to its round.

    Raises:
        InputError: `drift-not-a-party`: it gave none.
    """
    for number in range(released.round, 0, -1):
        key = receipt_key(desk.party, released.champion.run, number)
        envelope = read_message(desk.store, key, Signed)
        try:
            receipt = Receipt.model_validate_json(envelope.payload) if envelope else None
        except ValidationError:
            receipt = None
        if receipt and receipt.update_sha256 and receipt.data_hash:
            return receipt.data_hash
    raise InputError(
        f"Party {desk.party} gave no update to the run {released.champion.run} of the champion",
        fix="let it take part in the next one",
        code="drift-not-a-party",
    )


def trained_rows(desk: DriftDesk, released: Released, data_hash: str) -> TrainedRows:
    """The rows of this hash, without those that their owners took back since.

    Raises:
        DataRefused: `drift-no-reference`, or `withdrawn-damaged`; or the table is damaged.
        InputError: the party's settings name no table.
    """
    return rows_without(_trained_rows(desk, released, data_hash), desk.withdrawn)


def _trained_rows(desk: DriftDesk, released: Released, data_hash: str) -> TrainedRows:
    """The rows of this hash: those that were kept, or the party's table if it is still the same.

    Rows that were kept without a watched column serve the other features where the table has changed.

    Raises:
        DataRefused: `drift-no-reference`: neither is there; or the table is damaged.
        InputError: the party's settings name no table.
    """
    plan, tables, run = released.plan, desk.tables, released.champion.run
    watched = plan.recipe.drift.columns
    if kept := read_rows(desk.folder, data_hash, run, watched):
        return kept
    possible = product(dict.fromkeys((NOTHING, desk.withdrawn)), dict.fromkeys((tables.fresh, None)))
    for withdrawn, fresh in possible:  # both may have come after the training
        prepared = prepare_party_tables(
            tables.train,
            tables.holdout,
            plan.recipe.data,
            plan.labels,
            seed=plan.recipe.seed,
            fresh=fresh,
            withdrawn=withdrawn,
        )
        if keyed_data_hash(prepared.train, data_hash_key(desk.signing_key)) == data_hash:
            keep_rows(desk.folder, data_hash, prepared, tables, plan.recipe, run)
            if kept := read_rows(desk.folder, data_hash, run, watched):
                return kept
    if kept := read_rows(desk.folder, data_hash, run):
        return kept
    raise no_rows(desk.party)


def load_champion(desk: DriftDesk, released: Released) -> "Workbench":
    """The champion in memory, fetched once.

    Raises:
        IntegrityError: a blob is missing or damaged.
    """
    bench = open_workbench(desk.store, released.plan, desk.cache, desk.threads)
    folder, sha256 = desk.folder / "models", released.model_sha256
    forget_models(folder, keep=frozenset({sha256}))
    path, _ = fetch_model(desk.store, sha256, folder)
    bench.load(path, sha256)
    return bench
