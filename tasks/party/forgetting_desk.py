"""What a party needs to say which of its updates learned from what is withdrawn."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fedmodels.errors import InputError, IntegrityError
from fedmodels.identifiers import ID_PATTERN
from fedmodels.protocol.lineage import Lineage
from fedmodels.protocol.messages import Announcement, Head, Plan, Receipt, Signed
from infra.keys import PrivateKey
from infra.layout import head_key, plan_key, receipt_key, release_key, role_prefix, round_key
from infra.object_store import ObjectStore
from infra.settings import Tables
from tasks.exchange import parse, read_from_party, read_message
from tasks.party.versions.desk import VersionDesk
from tasks.reading import PlannedRun, is_open, look_at_runs, planned_run
from tasks.release.reading import read_request, release_numbers
from validation.admission import RECEIPT_LIMIT

_RECEIPT = re.compile(rf"runs/({ID_PATTERN[1:-1]})/rounds/[0-9]+/receipt\.json")


@dataclass(frozen=True, repr=False)
class ForgettingDesk:
    """One party's store, folder, key and tables, for the rows of one recipe."""

    party: str
    recipe: str
    store: ObjectStore
    """With the party's own credentials."""
    signing_key: PrivateKey
    workspace: Path
    tables: Tables
    versions: VersionDesk
    tells_rows: bool
    """Whether its policy lets it say how many rows are withdrawn."""
    new_list: bool = False
    """Whether a list of withdrawn rows that is damaged or gone is given up for a new one."""


@dataclass(frozen=True)
class OwnReceipt:
    """A receipt of the party's that came with an update."""

    run: str
    round: int
    data_hash: str
    version: str | None
    """Keyed hash of the tables, where the party told it."""
    plan: Plan | None
    """`None` of a run whose plan is damaged or gone, and whose model lives on in a release."""

    @property
    def place(self) -> tuple[str, int]:
        """Run and round."""
        return self.run, self.round


def own_receipts(desk: ForgettingDesk) -> tuple[OwnReceipt, ...]:
    """The party's receipts with an update, of all runs of the recipe.

    A run outlives its plan in the releases that come from it. One whose plan is gone, and that no release
    names, has no model that could be released: its receipts are passed over.
    """
    recipes: dict[str, str | None] = {}
    plans: dict[str, Plan | None] = {}
    released: frozenset[str] | None = None
    found = []
    for run, key in _receipt_keys(desk):
        if run not in recipes:
            planned = planned_run(desk.store, run)
            recipes[run] = planned.recipe if planned else None
            if planned is None:
                released = _released_runs(desk) if released is None else released
                recipes[run] = desk.recipe if run in released else None
            plans[run] = _plan(desk, run) if recipes[run] == desk.recipe else None
        receipt = _receipt(desk, key) if recipes[run] == desk.recipe else None
        if receipt is not None and receipt.update_sha256:
            version = receipt.version.keyed_hash if receipt.version else None
            found.append(OwnReceipt(run, receipt.round, receipt.data_hash, version, plans[run]))
    return tuple(found)


def other_recipes(desk: ForgettingDesk) -> tuple[str, ...]:
    """Names of further recipes to which the party gave an update: what is withdrawn here stays in those."""
    found: set[str] = set()
    runs: dict[str, str | None] = {}
    for run, key in _receipt_keys(desk):
        if run not in runs:
            planned = planned_run(desk.store, run)
            runs[run] = planned.recipe if planned else None
        recipe = runs[run]
        if recipe is None or recipe in found or recipe == desk.recipe:
            continue
        receipt = _receipt(desk, key)
        if receipt is not None and receipt.update_sha256:
            found.add(recipe)
    return tuple(sorted(found))


def unanswered_runs(desk: ForgettingDesk) -> tuple[str, ...]:
    """Open runs of the recipe with a round that awaits an update of the party's, by name.

    A session sends none that learned from what stands on the list by then. One that was sent before, by a
    session that was killed or lost the store meanwhile, may arrive all the same.
    """

    def look(run: str, _planned: PlannedRun) -> str | None:
        if not is_open(desk.store, run):
            return None
        with suppress(IntegrityError):  # of a run that cannot be read nobody knows
            head = read_message(desk.store, head_key(run), Head)
            number = head.round + 1 if head else 1
            announced = read_message(desk.store, round_key(run, number, "announcement"), Announcement)
            if announced is None or desk.party not in announced.cohort:
                return None
            return None if desk.store.exists(receipt_key(desk.party, run, number)) else run
        return run

    return tuple(sorted(look_at_runs(desk.store, desk.recipe, look)))


def _receipt_keys(desk: ForgettingDesk) -> Iterator[tuple[str, str]]:
    """Run and key of each receipt of the party's."""
    prefix = role_prefix(desk.party)
    for key in desk.store.list_keys(f"{prefix}runs/"):
        place = _RECEIPT.fullmatch(key.removeprefix(prefix))
        if place is not None:
            yield place[1], key


def _plan(desk: ForgettingDesk, run: str) -> Plan | None:
    with suppress(IntegrityError):  # one that cannot be read tells as much as one that is gone
        return read_message(desk.store, plan_key(run), Plan)
    return None


def _released_runs(desk: ForgettingDesk) -> frozenset[str]:
    """Runs that releases of the recipe come from, and those from whose models these began."""
    found: set[str] = set()
    for release in release_numbers(desk.store, desk.recipe):
        with suppress(IntegrityError, InputError):
            found.add(read_request(desk.store, desk.recipe, release).run)
        key = release_key(desk.recipe, release, "lineage")
        with suppress(IntegrityError):
            signed = read_message(desk.store, key, Signed)
            lineage = parse(Lineage, signed.payload.encode(), key) if signed else None
            if lineage is not None:
                found.add(lineage.run)
                found |= {lineage.begins_from.run} if lineage.begins_from else set()
    return frozenset(found)


def _receipt(desk: ForgettingDesk, key: str) -> Receipt | None:
    signed = read_from_party(desk.store, key, Signed, RECEIPT_LIMIT)
    try:
        return Receipt.model_validate_json(signed.payload) if signed else None
    except ValidationError:
        return None
