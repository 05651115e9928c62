"""A data owner's rights: rows are withdrawn at their party, or it leaves; then the coordinator answers.

The party's half works with the party's own settings, the coordinator's with those of the local stack. Where
these are not, the coordinator's scheduled watch takes the notice up.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedmodels.errors import FedcartError, InputError, IntegrityError
from fedmodels.recipe import Recipe
from flows.open_store import names_a_store
from flows.own_settings import party_settings, party_workspace
from infra.layout import COORDINATOR
from infra.local.stack import borrowed_store
from infra.settings import Settings, load_role_settings

if TYPE_CHECKING:
    from fedmodels.protocol.withdrawal import WithdrawalNotice
    from tasks.party.forgetting import Concerned
    from tasks.party.forgetting_desk import ForgettingDesk
    from tasks.release.reading import ReleaseView

DAMAGE = (IntegrityError, InputError)
"""Raised of an object in the bucket that is damaged, or gone: it keeps nobody from withdrawing."""


@dataclass(frozen=True)
class TouchedRelease:
    """A release whose model learned from what is withdrawn."""

    release: int
    run: str
    from_round: int
    champion: bool

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        return {
            "release": self.release,
            "run": self.run,
            "from_round": self.from_round,
            "champion": self.champion,
        }


@dataclass(frozen=True)
class CoordinatorsAnswer:
    """What the coordinator did, where its settings are here."""

    retraining: Literal["started", "not needed", "waits"]
    why: FedcartError | None = None
    """What it waits for: it names the run or release that is in the way, or what is damaged."""
    faults: tuple[FedcartError, ...] = ()
    """Notices that were refused, and what of releases is damaged, so that they could not be marked."""


def withdrawn_texts(path: Path, recipe: Recipe) -> list[str]:
    """The texts of a file of rows to withdraw: the recipe's text column; other columns are passed over.

    Raises:
        InputError: the file is missing or damaged, has no such column, or no text that is left by cleaning
            (`table-empty`).
    """
    from fedmodels.data.cleaning import clean_text
    from fedmodels.data.tables import read_texts

    try:
        found = read_texts(path, recipe.data.text)
    except InputError as error:
        if error.code != "table-column-missing":
            raise
        fix = f"call the column of its texts {recipe.data.text!r}, as the recipe does"
        raise InputError(error.sentence, fix=fix, code=error.code) from None
    texts = [text for text in found if clean_text(text)[0]]
    if not texts:
        raise InputError(
            f"The file {path} has no text in its column {recipe.data.text!r}",
            fix="give the rows that are to be withdrawn",
            code="table-empty",
        )
    return texts


@contextmanager
def party_desk(
    recipe: Recipe, party: str, settings: Settings, *, new_list: bool = False
) -> "Iterator[ForgettingDesk]":
    """The party's own store, key, folder and tables; a store that was started for it is stopped again.

    Args:
        recipe: the recipe.
        party: one of its parties.
        settings: of this process: the party's own, or of the machine that plays all parties.
        new_list: whether a list of withdrawn rows that is damaged or gone is given up.

    Raises:
        InputError: the recipe has no such party, or its settings name no key.
    """
    from infra.keys import role_key
    from infra.settings import Tables
    from infra.stores import store_from_settings
    from infra.versioning.remote import remote_of
    from tasks.party.forgetting_desk import ForgettingDesk
    from tasks.party.versions.desk import VersionDesk

    own = party_settings(recipe, party, settings)
    key, workspace = role_key(own.signing_key, party), party_workspace(party, settings)
    with nullcontext() if names_a_store(settings) else borrowed_store(settings.home):
        yield ForgettingDesk(
            party=party,
            recipe=recipe.name,
            store=store_from_settings(own),
            signing_key=key,
            workspace=workspace,
            tables=own.tables.get(recipe.name, Tables()),
            versions=VersionDesk(party, workspace, remote_of(own, party)),
            tells_rows=own.policy.tell_withdrawn,
            new_list=new_list,
        )


def touched_releases(
    desk: "ForgettingDesk", concerned: "Concerned"
) -> tuple[tuple[TouchedRelease, ...], tuple[FedcartError, ...]]:
    """Releases that a notice of these receipts marks, as the party sees the coordinator's messages.

    And what is damaged or gone of releases and their runs, of which nobody can say it: that keeps no one from
    withdrawing.
    """
    from tasks.release.reading import read_champion, read_request, release_numbers
    from tasks.release.withdrawn import touches_of

    found: list[TouchedRelease] = []
    damaged: list[FedcartError] = []
    champion, notices = None, (_as_notice(concerned),)
    try:
        champion = read_champion(desk.store, desk.recipe)
    except DAMAGE as error:
        damaged.append(error)
    for number in release_numbers(desk.store, desk.recipe):
        try:
            request = read_request(desk.store, desk.recipe, number)
            touches = touches_of(desk.store, desk.recipe, request.run, request.round, notices, number)
        except DAMAGE as error:
            damaged.append(error)
            continue
        is_champion = champion is not None and champion.release == number
        found += [TouchedRelease(number, touch.run, touch.round, is_champion) for touch in touches]
    return tuple(found), tuple(damaged)


def withdrawn_champion(view: "ReleaseView") -> str:
    """That a release is the champion and learned from what was withdrawn; empty of any other."""
    from fedmodels.protocol.withdrawal import all_in_words

    if not view.marks or view.standing != "champion":
        return ""
    request = view.request
    return (
        f"the champion of {request.recipe}, release {request.release}, {all_in_words(view.marks)}; it stays "
        "the champion until a model that never saw them is released."
    )


def withdrawn_champions(home: Path) -> list[str]:
    """The same of every recipe of the local stack, whose store runs; none where it does not say."""
    from flows.following import coordinator_store
    from tasks.release.reading import read_champion, read_release, released_recipes

    found = []
    with suppress(
        FedcartError
    ):  # whoever asks for the state of the stack is to see it whatever the bucket holds
        store = coordinator_store(home)
        for recipe in released_recipes(store):
            champion = read_champion(store, recipe)
            if champion is not None:
                found.append(withdrawn_champion(read_release(store, recipe, champion.release)))
    return [told for told in found if told]


def is_coordinator_here(settings: Settings) -> bool:
    """Whether the coordinator's half can be done from here: this machine plays all roles."""
    from infra.locations import role_settings

    return not names_a_store(settings) and role_settings(settings.home, COORDINATOR).exists()


def answer_here(recipe: str, home: Path) -> CoordinatorsAnswer:
    """Hear the notices, mark releases, and start the retraining, as the scheduled watch would.

    The local stack's store has to run.

    Raises:
        FedcartError: the store is away, or the coordinator's settings cannot be used.
    """
    from flows.following import api_url, deploy_where_missing, require_worker
    from infra.deployments.services import declare_retraining
    from tasks.release.hearing import hear_withdrawals
    from tasks.release.reading import read_champion
    from tasks.release.withdrawn import known_notices
    from tasks.retraining.watching import WatchDesk
    from tasks.retraining.withdrawing import start_if_due
    from tasks.retraining.without import touching_champion

    desk = WatchDesk(load_role_settings(home, COORDINATOR))
    faults: tuple[FedcartError, ...] = ()
    try:
        faults = hear_withdrawals(desk.store, desk.signing_key, desk.party_keys).faults
        champion = read_champion(desk.store, recipe)
        if champion is None or not touching_champion(desk.store, champion, known_notices(desk.store, recipe)):
            return CoordinatorsAnswer("not needed", faults=faults)
        require_worker(home)
        server = api_url(home)
        deploy_where_missing(declare_retraining(), server)
        looked = start_if_due(desk, recipe, server, shown=False)
    except DAMAGE as error:
        return CoordinatorsAnswer("waits", error, faults)
    except FedcartError as error:
        if error.code not in ("worker-down", "prefect-unreachable", "stack-down"):
            raise
        return CoordinatorsAnswer("waits", error, faults)
    if looked.waits is not None:
        return CoordinatorsAnswer("waits", looked.waits, faults)
    return CoordinatorsAnswer("started" if looked.started else "not needed", faults=faults)


def _as_notice(concerned: "Concerned") -> "WithdrawalNotice":
    """What a notice would say, unsigned and without a name of its rows."""
    from fedmodels.protocol.withdrawal import ConcernedReceipt, WithdrawalNotice

    places: Sequence[tuple[str, int]] = sorted(concerned.places)
    return WithdrawalNotice(
        party=concerned.party,
        recipe=concerned.recipe,
        number=1,
        leaves=concerned.leaves,
        withdrawal="0" * 64,
        receipts=tuple(ConcernedReceipt(run=run, round=number) for run, number in places),
    )
