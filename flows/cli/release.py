"""`fedcart release`: which models asked to be released, what their checks say, and who is champion."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import answers, champion, propose, prune
from flows.cli.card import card, coordinator_public_key, tell_lineage
from flows.cli.output import (
    JsonFlag,
    RecipeArgument,
    ReleaseArgument,
    console,
    number_cell,
    print_json,
    print_table,
    say,
    warn,
)
from flows.cli.plain_help import Commands
from flows.cli.recording import sync, tags_of

if TYPE_CHECKING:
    from tasks.release.reading import ReleaseView

app = Commands(
    name="release",
    help="Look at releases, approve, promote, roll back and prune; starts the store alone when it is down.",
    no_args_is_help=True,
)
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
    from fedmodels.identifiers import check_identifier
    from flows.forgetting import withdrawn_champion
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.reading import list_releases as views_of
    from tasks.release.reading import released_recipes

    settings = load_settings()
    with open_named_store(settings) as store:
        recipes = [check_identifier("recipe", recipe)] if recipe else released_recipes(store)
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
    from fedmodels.identifiers import check_identifier
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from tasks.release.lineage import find_lineage
    from tasks.release.reading import read_release

    settings = load_settings()
    with open_named_store(settings) as store:
        view = read_release(store, check_identifier("recipe", recipe), release)
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
app.command("propose")(propose.propose)
app.command("promote")(champion.promote)
app.command("rollback")(champion.rollback)
app.command("approve")(answers.approve)
app.command("reject")(answers.reject)
app.command("prune")(prune.prune)


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
