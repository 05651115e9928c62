"""`fedcart forget`: rows that their owners take back, or a party that leaves, and the models they touch."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedmodels.words import counted
from flows.cli.output import JsonFlag, RecipeOption, notes, print_json, print_table, say, warn

if TYPE_CHECKING:
    from flows.forgetting import CoordinatorsAnswer, TouchedRelease
    from tasks.party.forgetting import Concerned, Withdrawal

_COLUMNS = [
    ("release", "right"),
    ("run", "left"),
    ("learned from round", "right"),
    ("standing", "left"),
]


def forget(
    party: Annotated[str, typer.Option(metavar="PARTY", help="Whose rows they are, at that party.")],
    rows: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet with the rows to withdraw, by the recipe's text column. Without it the "
            "whole party leaves the recipe.",
        ),
    ] = None,
    recipe: RecipeOption = "reviews",
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which models are touched.")] = False,
    new_list: Annotated[
        bool,
        typer.Option(
            "--new-list",
            help="Give up a list that is damaged, gone or too old. FILE has all rows ever withdrawn.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Withdraw rows, or a whole party, from a recipe: mark the models that learned from them, train anew.

    The rows are matched at the party by keyed hashes of their texts, and
    left out of all its trainings from now on, though a table still holds
    them. Which updates learned from them is found in the rows that the party
    kept, its tables and its pinned versions; an update of whose rows nothing
    is left counts as one that did. What leaves the party is a signed notice
    that names updates, and no row.

    A release that learned from them is marked, and never promoted or
    returned to; a champion stays until the retraining that this starts
    replaces it. Twice is harmless. To undo it for a party that left, remove
    the file that the refusal of its sessions names.
    """
    from fedmodels.errors import InputError
    from flows.forgetting import (
        answer_here,
        is_coordinator_here,
        party_desk,
        touched_releases,
        withdrawn_texts,
    )
    from flows.own_settings import check_party
    from flows.recipes import load_recipe
    from infra.settings import load_settings
    from tasks.party.forgetting import find_concerned
    from tasks.party.forgetting import forget as withdraw
    from tasks.party.forgetting_desk import other_recipes

    if new_list and not rows:
        raise InputError(
            "--new-list begins a list of withdrawn rows, and no file names any",
            fix="give all rows that were ever withdrawn with --rows FILE",
            code="usage",
        )
    settings, asked = load_settings(), load_recipe(recipe)
    check_party(asked, party)
    texts = withdrawn_texts(rows, asked) if rows else None
    with party_desk(asked, party, settings, new_list=new_list) as desk:
        with _looking(party) as report:
            concerned = find_concerned(desk, texts, report)
            touched, damaged = touched_releases(desk, concerned)
            others = other_recipes(desk)
        for error in damaged:
            warn(str(error))
        if new_list:
            warn(
                "the new list answers every withdrawal that was made: rows that stand neither in FILE nor on "
                "a list that can still be read are trained on again"
            )
        if concerned.unread:
            warn(
                f"{concerned.unread}; so every update counts whose rows are kept nowhere else, which marks "
                "its releases for good. If the folder versions is in a backup, restore it first."
            )
        if not as_json:
            _show(concerned, touched)
            _show_others(others, party, rows)
        if dry_run:
            if as_json:
                print_json({**_document(concerned, touched), "other_recipes": others, "dry_run": True})
            return
        if not yes and not _confirmed(concerned):
            say("Nothing was changed.")
            raise typer.Exit(1)
        done = withdraw(desk, texts, concerned)
        answer = answer_here(asked.name, settings.home) if is_coordinator_here(settings) else None
    for fault in answer.faults if answer else ():
        warn(str(fault))
    if as_json:
        print_json(
            {
                **_document(done.concerned, touched),
                "other_recipes": others,
                "dry_run": False,
                "new_rows": done.new_rows,
                "notice": done.notice.number if done.notice else None,
                "made": done.made,
                "unanswered": list(done.unanswered),
                "retraining": answer.retraining if answer else None,
                "waits_for": answer.why.code if answer and answer.why else None,
            }
        )
    else:
        _tell(done, answer)


def _document(concerned: "Concerned", touched: "Sequence[TouchedRelease]") -> dict[str, Any]:
    return {**concerned.document(), "releases": [each.document() for each in touched]}


def _show(concerned: "Concerned", touched: "Sequence[TouchedRelease]") -> None:
    """Which updates and releases are concerned."""
    if touched:
        rows = [
            (each.release, each.run, each.from_round, "champion" if each.champion else None)
            for each in touched
        ]
        print_table(f"Releases of {concerned.recipe} that learned from it", _COLUMNS, rows)
    found = concerned.rows_found or concerned.rows
    of = f"{counted(found, 'row')}" if not concerned.leaves else f"the data of {concerned.party}"
    if not (concerned.places or concerned.scored):
        say(f"No update that {concerned.party} ever gave to {concerned.recipe} learned from {of}.")
    else:
        learned = f"{counted(len(concerned.places), 'update')} of {concerned.party} learned from {of}"
        say(f"{learned}{_runs(sorted(concerned.places))}.")
    if not concerned.leaves and concerned.rows_found < concerned.rows:
        missing = concerned.rows - concerned.rows_found
        say(
            f"Of the {counted(concerned.rows, 'row')}, {missing} {'stands' if missing == 1 else 'stand'} in "
            "nothing that is still known of its trainings. A text that differs in a letter, its case or a "
            "full stop is another row."
        )
    if concerned.unknown:
        say(
            f"Of the rows behind {len(concerned.unknown)} of these updates nothing is kept any more, so that "
            "they count."
        )
    if concerned.scored:
        held = f"{counted(len(concerned.scored), 'further update')} only held such rows out"
        say(
            f"{held}{_runs(concerned.scored)}: they were scored on and not learned from, and no model is "
            "marked for that."
        )


def _show_others(others: Sequence[str], party: str, rows: Path | None) -> None:
    """Recipes that this withdraws nothing from, though the party gave updates to them."""
    if not others:
        return
    what = f" --rows {shlex.quote(str(rows))}" if rows else ""
    commands = "; ".join(f"fedcart forget --party {party}{what} --recipe {_named(each)}" for each in others)
    say(
        f"{party} also gave updates to {', '.join(others)}, from which this withdraws nothing. For "
        f"{'that' if len(others) == 1 else 'those'}: {commands}"
    )


def _named(recipe: str) -> str:
    """A recipe as a command takes it: its name, or `FILE` and whose that is."""
    from flows.recipes import to_name

    name = to_name(recipe)
    return name if name == recipe else f"{name}, the file of {recipe}"


def _runs(places: "Sequence[tuple[str, int]]") -> str:
    runs = sorted({run for run, _ in places})
    shown = ", ".join(runs[:5]) + (f" and {len(runs) - 5} more" if len(runs) > 5 else "")
    return f", in {shown}" if runs else ""


def _confirmed(concerned: "Concerned") -> bool:
    """Whether whoever sits at the terminal says so.

    Raises:
        InputError: nobody does (`confirmation-missing`).
    """
    from fedmodels.errors import InputError

    if not sys.stdin.isatty():
        raise InputError(
            "Nobody is there to be asked whether this is to be done",
            fix="give --yes, or --dry-run to look only",
            code="confirmation-missing",
        )
    what = (
        f"{concerned.party} leaves {concerned.recipe}, and joins no run of it any more"
        if concerned.leaves
        else f"withdraw {counted(concerned.rows, 'row')} of {concerned.party} from {concerned.recipe}"
    )
    return typer.confirm(f"{what[0].upper()}{what[1:]}?", err=True)


def _tell(done: "Withdrawal", answer: "CoordinatorsAnswer | None") -> None:
    """What was done."""
    from fedmodels.protocol.withdrawal_retraining import RELEASE_WAITS, TOO_FEW

    concerned, notice = done.concerned, done.notice
    if concerned.leaves:
        say(f"{concerned.party} has left {concerned.recipe}: its sessions join no run of it any more.")
    else:
        said = f"{counted(done.new_rows, 'row')} more {'is' if done.new_rows == 1 else 'are'}"
        say(f"{said} left out of every training of {concerned.recipe} at {concerned.party} from now on.")
    if done.unanswered:
        runs = ", ".join(done.unanswered)
        warn(
            f"a round of {runs} is open, and an update that {concerned.party} has just sent may still come. "
            "Give this command once more after that round."
        )
    if notice is None:
        say("Nobody needs to be told: no model learned from them.")
        return
    say(f"Notice {notice.number} {'tells' if done.made else 'has told'} the coordinator of it.")
    if answer is None:
        say("Its scheduled watch marks the releases and begins the retraining.")
    elif answer.retraining == "started":
        without = concerned.party if concerned.leaves else "them"
        say(f"A retraining of {concerned.recipe} without {without} begins; see fedcart runs list.")
    elif answer.why is not None and answer.why.code == "withdrawal-answered":
        say(str(answer.why))
    elif answer.retraining == "waits":
        warn(f"the retraining waits: {answer.why}")
        code = answer.why.code if answer.why is not None else None
        if code == RELEASE_WAITS:
            say("Rejected, another one begins: by a watch that is deployed, or this command once more.")
        elif code != TOO_FEW:
            say("Then a watch that is deployed begins it, or this command once more.")
    else:
        say("The champion never learned from them, so that nothing is trained again.")


@contextmanager
def _looking(party: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal while the rows of each training are looked at."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
        bar = progress.add_task(f"looking through the trainings of {party}", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
