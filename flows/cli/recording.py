"""`fedcart release sync`, and what other commands of releases do with the models repository."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fedmodels.words import counted
from flows.cli.card import coordinator_key
from flows.cli.output import JsonFlag, print_json, say, warn, working

if TYPE_CHECKING:
    from fedmodels.protocol.releases import ReleaseRequest
    from infra.object_store import ObjectStore
    from infra.settings import Settings
    from tasks.release.recording import Recorder


def sync(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="Name of the recipe; all of them by default.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also read all that DVC's remote holds, and send damage again.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Record in the models repository what it lacks of the releases that the bucket holds.

    Promotions, rollbacks and housekeeping do this, too: it is for what an outage left out.
    """
    from fedmodels.identifiers import check_identifier
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.recording import record_all, record_releases

    settings = load_settings()
    with open_named_store(settings) as store, working("recording releases"):
        recorder = _recorder(store, settings)
        done = (
            record_releases(recorder, check_identifier("recipe", recipe), thorough=check)
            if recipe
            else record_all(recorder, thorough=check)
        )
    if as_json:
        print_json({"tags": list(done.tags), "lost": list(done.lost), "mended": list(done.mended)})
        return
    warn_of_lost(done.lost)
    for tag in done.mended:
        say(f"Files of {tag} were missing or damaged in DVC's remote, and were sent again.")
    if done.tags:
        say(f"{counted(len(done.tags), 'tag')} recorded: {', '.join(done.tags)}.")
    else:
        say("The models repository shows every release that can be recorded.")


def follow(store: "ObjectStore", settings: "Settings", recipe: str) -> None:
    """Let the models repository follow a champion that has moved; what it cannot now is a warning."""
    from fedmodels.errors import FedcartError
    from tasks.release.recording import record_releases

    try:
        done = record_releases(_recorder(store, settings), recipe)
    except FedcartError as error:
        warn(f"The models repository does not show it yet ({error.code}): {error}")
        return
    warn_of_lost(done.lost)


def warn_of_lost(tags: Sequence[str]) -> None:
    """Say which releases can no longer be recorded."""
    for tag in tags:
        warn(
            f"{tag} cannot be recorded: its run or model is gone from the bucket, damaged, or not as it was "
            "signed."
        )


def tags_of(requests: Sequence["ReleaseRequest"], settings: "Settings") -> list[str | None]:
    """Each release's tag, where the models repository of these settings' coordinator has it."""
    from fedmodels.protocol.releases import version_tag
    from flows.open_store import applying_settings
    from infra.layout import COORDINATOR
    from tasks.release.recording import tags_there

    applying = applying_settings(settings)
    there = tags_there(applying) if requests and applying.role == COORDINATOR else frozenset()
    tags = [version_tag(request.recipe, request.release) for request in requests]
    return [tag if tag in there else None for tag in tags]


def _recorder(store: "ObjectStore", settings: "Settings") -> "Recorder":
    from flows.open_store import applying_settings
    from tasks.release.recording import recorder_from_settings

    return recorder_from_settings(applying_settings(settings), store, coordinator_key(settings))
