"""`fedcart release promote | rollback`: which release is the champion."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.card import coordinator_key, coordinator_model_key, coordinator_public_key
from flows.cli.output import JsonFlag, RecipeArgument, ReleaseArgument, print_json, say, warn, working
from flows.cli.recording import follow

if TYPE_CHECKING:
    from fedmodels.protocol.releases import Champion
    from infra.object_store import ObjectStore
    from infra.settings import Settings
    from tasks.release.promoting import Document

ByOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says so; by default your name on this machine.")
]
CommentOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, in a sentence.")]


def promote(
    recipe: RecipeArgument, release: ReleaseArgument, by: ByOption = None, as_json: JsonFlag = False
) -> None:
    """Make a release the champion.

    Refused when a check failed, when a person has not approved it in time, when another model has become
    the champion since it was compared, and when it is not signed or not what was signed.
    """
    from fedmodels.errors import FedcartError
    from fedmodels.identifiers import check_identifier
    from flows.forgetting import withdrawn_champion
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.reading import read_release

    settings = load_settings()
    with open_named_store(settings) as store:
        champion = promote_and_follow(
            store, settings, check_identifier("recipe", recipe), release, by or who()
        )
        tell_champion(champion, as_json=as_json)
        try:
            pass_on_answer(store, recipe, release, settings)
            beside = withdrawn_champion(read_release(store, champion.recipe, champion.release))
        except FedcartError as error:  # it is the champion, whatever else of it cannot be read
            beside = str(error)
    if beside:
        warn(beside)


def rollback(
    recipe: RecipeArgument,
    to: Annotated[
        int | None,
        typer.Option(metavar="RELEASE", min=1, help="A release that was the champion; by default the last."),
    ] = None,
    reason: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Return to the champion before the present one, or to any that there ever was.

    A second rollback goes further back, not forth again. A release that was altered is refused.
    """
    from fedmodels.identifiers import check_identifier
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.promoting import rollback as roll_back

    settings = load_settings()
    with open_named_store(settings) as store:
        name, public = check_identifier("recipe", recipe), coordinator_public_key(settings)
        if public is not None:
            hear_first(store, settings)
        else:
            warn(
                "what parties have withdrawn since the coordinator last heard them is not looked at: that "
                "takes its settings"
            )
        champion = roll_back(store, name, by or who(), to=to, reason=reason, public=public)
        follow(store, settings, recipe)
    tell_champion(champion, as_json=as_json)


def promote_and_follow(
    store: "ObjectStore", settings: "Settings", recipe: str, release: int, by: str
) -> "Champion":
    """The champion that `release` became, which the models repository then shows, too."""
    from tasks.release.promoting import promote as promote_release

    with working("verifying the model and promoting it"):
        document = documenting(store, settings)
        hear_first(store, settings)
        champion = promote_release(store, recipe, release, by, document)
    follow(store, settings, recipe)
    return champion


def hear_first(store: "ObjectStore", settings: "Settings") -> None:
    """Take up what parties have withdrawn until now, of which the scheduled watch may not have heard yet.

    Notices that are refused, and releases that cannot be marked, are warnings.
    """
    from flows.open_store import applying_settings
    from tasks.release.hearing import hear_withdrawals

    heard = hear_withdrawals(store, coordinator_key(settings), applying_settings(settings).party_keys)
    for fault in heard.faults:
        warn(str(fault))


def documenting(store: "ObjectStore", settings: "Settings") -> "Document":
    """What verifies a release and writes where it comes from, with the coordinator's keys."""
    from functools import partial

    from flows.open_store import applying_settings
    from tasks.release.signing import document_release

    work = applying_settings(settings).workspace
    keys = coordinator_key(settings), coordinator_model_key(settings)
    return partial(document_release, store, *keys, work)


def tell_champion(champion: "Champion", *, as_json: bool) -> None:
    """Which release is the champion now."""
    if as_json:
        print_json(champion.model_dump(mode="json"))
    else:
        say(
            f"The champion of {champion.recipe} is release {champion.release}: "
            f"model {champion.model_sha256[:12]} of run {champion.run}."
        )


def pass_on_answer(store: "ObjectStore", recipe: str, release: int, settings: "Settings") -> None:
    """Let a flow run that waits for a person's word know of it; what it cannot be told is a warning."""
    from flows.answering import pass_on

    if left := pass_on(store, recipe, release, settings):
        warn(left)


def who() -> str:
    """The name of whoever calls this, on this machine."""
    import getpass

    from fedmodels.errors import InputError

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise InputError(
            "This machine has no name for you", fix="give one with --by", code="name-missing"
        ) from None
