"""`fedcart drift`: whether a party's fresh rows still look like those that the champion was trained on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import drift_demo
from flows.cli.output import JsonFlag, console, explain, print_json, print_table, working
from flows.cli.plain_help import Commands

if TYPE_CHECKING:
    from tasks.drift.checking import DriftCheck

app = Commands(no_args_is_help=True, help="Look for drift in a party's fresh rows.")
DRIFTED, REFUSED = 3, 2
"""Exit statuses."""
COLUMNS = [
    ("feature", "left"),
    ("measure", "left"),
    ("effect", "right"),
    ("bound", "right"),
    ("p", "right"),
    ("verdict", "left"),
]


@app.callback()
def drift() -> None:
    """Look for drift in a party's fresh rows."""


@app.command()
def check(
    party: Annotated[str, typer.Option(metavar="PARTY", help="Whose rows are checked, at that party.")],
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            metavar="RECIPE",
            help="Name of the champion's recipe, or path of its YAML file.",
        ),
    ] = "reviews",
    as_json: JsonFlag = False,
) -> None:
    """Hold a party's fresh rows against those that the champion was trained on.

    Exits with 0 when nothing drifted, 3 when a feature did, and 2 when nothing could be compared: there is no
    champion, no reference, or too few fresh rows. Shows effects and bounds, and no value of a row. The
    verdict counts like that of a scheduled check; a notice is left by those alone.
    """
    from fedmodels.errors import FedcartError, TransientError
    from flows.drift_check import check_party_drift
    from flows.recipes import recipe_name
    from infra.settings import load_settings

    try:
        with working(f"checking the fresh rows of {party}"):
            found = check_party_drift(recipe_name(recipe), party, load_settings())
    except TransientError:
        raise
    except FedcartError as error:
        explain(error, as_json=as_json)
        raise typer.Exit(REFUSED) from None
    if as_json:
        print_json(document(found))
    else:
        _show(found)
    if found.report.drifted:
        raise typer.Exit(DRIFTED)


app.command("demo")(drift_demo.demo)


def document(found: "DriftCheck") -> dict[str, Any]:
    """The check as one JSON document."""
    from dataclasses import asdict

    return {
        "party": found.party,
        "recipe": found.recipe,
        "drifted": found.report.drifted,
        "features": list(found.report.drifted_features),
        "lasting": list(found.lasting),
        "rows": found.rows,
        "new_labelled": found.new_labelled,
        "run": found.run,
        "model_sha256": found.model_sha256,
        "reference_built": found.reference_built,
        "unchanged": found.unchanged,
        "alpha": found.report.alpha,
        "tests": found.report.tests,
        "not_checked": list(found.report.not_checked),
        "not_compared": [asdict(each) for each in found.report.not_compared],
        "findings": [asdict(finding) for finding in found.report.findings],
    }


def _show(found: "DriftCheck") -> None:
    from tasks.drift.words import verdict_in_words

    rows = [
        (
            finding.feature,
            measure.name,
            f"{measure.effect:.3f}",
            f"{measure.bound:g}",
            f"{measure.adjusted_p:.4f}",
            "drifted" if measure.drifted else "–",
        )
        for finding in found.report.findings
        for measure in finding.measures
    ]
    print_table(
        f"{found.rows} fresh rows of {found.party} against the champion of {found.run}", COLUMNS, rows
    )
    if found.unchanged:
        console.print("Champion and fresh rows are those of the last check: nothing was compared again.")
    if found.report.not_checked:
        console.print(f"Not checked for want of labels: {', '.join(found.report.not_checked)}.")
    for each in found.report.not_compared:
        said = f"Not compared: {each.feature}. {each.sentence}"
        console.print(said, soft_wrap=True, highlight=False)
    console.print(f"{verdict_in_words(found)}.", soft_wrap=True, highlight=False)
