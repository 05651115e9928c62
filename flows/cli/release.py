"""`fedcart release`: which models asked to be released, what their checks say, and who is champion."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.card import (
    card,
    coordinator_key,
    coordinator_model_key,
    coordinator_public_key,
    tell_lineage,
)
from flows.cli.output import (
    JsonFlag,
    RecipeArgument,
    ReleaseArgument,
    RunArgument,
    console,
    number_cell,
    print_json,
    print_table,
    say,
    warn,
    working,
)
from flows.cli.plain_help import Commands
from flows.cli.recording import follow, sync, tags_of

if TYPE_CHECKING:
    from fedmodels.protocol.releases import Champion
    from infra.object_store import ObjectStore
    from infra.settings import Settings
    from tasks.release.promoting import Document
    from tasks.release.reading import ReleaseView

app = Commands(
    name="release",
    help="Look at releases, approve, promote and roll back; starts the store alone when it is down.",
    no_args_is_help=True,
)
ByOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says so; by default your name on this machine.")
]
CommentOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, in a sentence.")]
LIST_COLUMNS = [
    ("recipe", "left"),
    ("no.", "right"),
    ("run", "left"),
    ("accuracy", "right"),
    ("checks", "left"),
    ("standing", "left"),
    ("tag", "left"),
]
CHECK_COLUMNS = [
    ("check", "left"),
    ("value", "right"),
    ("bound", "right"),
    ("verdict", "left"),
    ("in words", "left"),
]


@app.command("list")
def list_releases(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="Name of the recipe; all of them by default.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """All releases, oldest first, where each stands, and its tag in the models repository."""
    from flows.forgetting import withdrawn_champion
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.reading import list_releases as views_of
    from tasks.release.reading import released_recipes

    settings = load_settings()
    with open_named_store(settings) as store:
        recipes = [_checked(recipe)] if recipe else released_recipes(store)
        views = [view for name in recipes for view in views_of(store, name)]
        tags = tags_of([view.request for view in views], settings)
    if as_json:
        print_json([{**view.document(), "tag": tag} for view, tag in zip(views, tags, strict=True)])
    elif views:
        rows = [(*_list_row(view), tag) for view, tag in zip(views, tags, strict=True)]
        print_table("Releases", LIST_COLUMNS, rows)
        for view in views:
            if told := withdrawn_champion(view):
                warn(told)
    else:
        console.print("There is no release" + (f" of {recipe}." if recipe else "."))


@app.command("show")
def show(recipe: RecipeArgument, release: ReleaseArgument, as_json: JsonFlag = False) -> None:
    """One release: its checks with values and bounds, a person's word, where it stands and comes from."""
    from fedmodels.errors import IntegrityError, write_coded
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.lineage import find_lineage
    from tasks.release.reading import read_release

    settings = load_settings()
    with open_named_store(settings) as store:
        view = read_release(store, _checked(recipe), release)
        public = coordinator_public_key(settings)
        lineage, damage = None, ""
        try:
            lineage = find_lineage(store, view.found, public) if view.found else None
        except IntegrityError as error:  # what else is known of the release is shown all the same
            damage = write_coded(error)
    if damage:
        warn(damage)
    if as_json:
        told = lineage.model_dump(mode="json") if lineage else None
        print_json({**view.document(), "lineage": told})
        return
    request, found = view.request, view.found
    if found:
        rows = [
            (check.name, number_cell(check.value), number_cell(check.bound), check.verdict, check.sentence)
            for check in found.report.checks
        ]
        print_table(f"Release {release} of {recipe}", CHECK_COLUMNS, rows)
        if word := found.approval:
            said = f': "{word.comment}"' if word.comment else ""
            say(f"{word.by}: {word.decision}, {found.waited:.0f} s after the report{said}.")
    if lineage:
        tell_lineage(lineage)
        if public is None:
            say("Its signature was not checked: that takes the coordinator's settings.")
    asked = f" ({request.reason})" if request.reason else ""
    model = f"model {request.model_sha256[:12]} of run {request.run}{asked}"
    say(f"Release {release} of {recipe}, {model}: {view.in_words}.")
    for learned in dict.fromkeys(mark.in_words() for mark in view.marks):
        warn(f"its model {learned}.")
    if view.refusal:
        say(f"{view.refusal.code}: {view.refusal.sentence}")


app.command("card")(card)
app.command("sync")(sync)


@app.command("propose")
def propose(
    run: RunArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it was trained, in a sentence.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Have the kept model of a finished run checked, and released if nothing and nobody refuses it."""
    from fedmodels.identifiers import check_identifier
    from flows.proposing import propose_release, unreleased
    from infra.settings import load_settings

    with working("checking the model against the champion"):
        said = propose_release(load_settings().home, check_identifier("run", run), reason)
    refusal = unreleased(said)
    if as_json:
        print_json(said)
        if refusal:
            raise typer.Exit(1)
        return
    if refusal:
        raise refusal
    say(str(said["message"]))


@app.command("promote")
def promote(
    recipe: RecipeArgument, release: ReleaseArgument, by: ByOption = None, as_json: JsonFlag = False
) -> None:
    """Make a release the champion.

    Refused when a check failed, when a person has not approved it in time, when another model has become
    the champion since it was compared, and when it is not signed or not what was signed.
    """
    from flows.open_store import open_named_store
    from infra.settings import load_settings

    settings = load_settings()
    with open_named_store(settings) as store:
        champion = _promote(store, settings, _checked(recipe), release, by or _who())
        _pass_on(store, recipe, release, settings)
    _tell_champion(champion, as_json=as_json)


@app.command("rollback")
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
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.promoting import rollback as roll_back

    settings = load_settings()
    with open_named_store(settings) as store:
        public = coordinator_public_key(settings)
        champion = roll_back(store, _checked(recipe), by or _who(), to=to, reason=reason, public=public)
        follow(store, settings, recipe)
    _tell_champion(champion, as_json=as_json)


@app.command("approve")
def approve(
    recipe: RecipeArgument,
    release: ReleaseArgument,
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve a release whose recipe asks a person, and make it the champion.

    Once, and before the deadline. The form in Prefect's page does the same, and is answered by this, too.
    """
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.answering import approve as approve_release

    name, settings = by or _who(), load_settings()
    with open_named_store(settings) as store:
        _document(store, settings)  # without the keys the word would stand, and nothing be promoted
        approve_release(store, _checked(recipe), release, name, comment)
        try:
            champion = _promote(store, settings, recipe, release, name)
        finally:  # only now: a flow run that promotes at the same moment would win the race
            _pass_on(store, recipe, release, settings)
    _tell_champion(champion, as_json=as_json)


@app.command("reject")
def reject(
    recipe: RecipeArgument,
    release: ReleaseArgument,
    comment: CommentOption = "",
    by: ByOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Reject a release whose recipe asks a person; the champion stays."""
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.answering import reject as reject_release

    settings = load_settings()
    with open_named_store(settings) as store:
        word = reject_release(store, _checked(recipe), release, by or _who(), comment)
        _pass_on(store, recipe, release, settings)
    if as_json:
        print_json(word.model_dump(mode="json"))
    else:
        say(f"Release {release} of {recipe} is rejected by {word.by}; the champion stays.")


def _pass_on(store: "ObjectStore", recipe: str, release: int, settings: "Settings") -> None:
    from flows.answering import pass_on

    if left := pass_on(store, recipe, release, settings):
        warn(left)


def _promote(store: "ObjectStore", settings: "Settings", recipe: str, release: int, by: str) -> "Champion":
    from tasks.release.promoting import promote as promote_release

    with working("verifying the model and promoting it"):
        champion = promote_release(store, recipe, release, by, _document(store, settings))
    follow(store, settings, recipe)
    return champion


def _document(store: "ObjectStore", settings: "Settings") -> "Document":
    """What verifies a release and writes where it comes from, with the coordinator's keys."""
    from functools import partial

    from flows.open_store import applying_settings
    from tasks.release.signing import document_release

    work = applying_settings(settings).workspace
    keys = coordinator_key(settings), coordinator_model_key(settings)
    return partial(document_release, store, *keys, work)


def _tell_champion(champion: "Champion", *, as_json: bool) -> None:
    if as_json:
        print_json(champion.model_dump(mode="json"))
    else:
        say(
            f"The champion of {champion.recipe} is release {champion.release}: "
            f"model {champion.model_sha256[:12]} of run {champion.run}."
        )


def _list_row(view: "ReleaseView") -> tuple[Any, ...]:
    request, report = view.request, view.found.report if view.found else None
    checks = None if report is None else ", ".join(report.failed) or "passed"
    accuracy = f"{report.validation.accuracy:.3f}" if report and report.validation else None
    return (
        request.recipe,
        request.release,
        request.run,
        accuracy,
        checks,
        view.in_words,
    )


def _checked(recipe: str) -> str:
    from fedmodels.identifiers import check_identifier

    return check_identifier("recipe", recipe)


def _who() -> str:
    import getpass

    from fedmodels.errors import InputError

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise InputError(
            "This machine has no name for you", fix="give one with --by", code="name-missing"
        ) from None
