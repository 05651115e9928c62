"""`fedcart data pin | versions | checkout`: what a party trained on, kept at the party."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedmodels.words import counted
from flows.cli.output import JsonFlag, RecipeOption, print_json, print_sentence, print_table, say, working

if TYPE_CHECKING:
    from fedmodels.data.versions import PinnedVersion
    from tasks.party.versions.bringing_back import ListedVersion

PartyOption = Annotated[str, typer.Option(metavar="PARTY", help="Whose tables they are, at that party.")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="Number of the version, or the beginning of its hash.")
]
FolderOption = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where the tables go: a folder that is not there yet.")
]
_HASH_SHOWN = 12
_COLUMNS = [
    ("version", "right"),
    ("pinned", "left"),
    ("rows", "right"),
    ("bytes", "right"),
    ("hash", "left"),
    ("pushed", "left"),
    ("runs", "left"),
]


def pin(
    party: PartyOption,
    recipe: RecipeOption = "reviews",
    push_anew: Annotated[
        bool,
        typer.Option("--push-anew", help="Push all versions that are kept here, whatever the remote has."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a version of a party's tables, unless the newest is the same, and push it to the party's remote.

    What could not be pushed earlier is pushed as well, and so is everything
    that is kept here and that the remote lacks when it has lost the newest
    version, by the names and sizes of what lies there. Where the remote cannot be had the version is kept
    here, and the command says so and does not exit with 0.
    """
    from flows.data_versions import pin_party
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    with working(f"pinning the data of {party}"):
        pinned = pin_party(load_recipe(recipe), party, load_settings(), anew=push_anew)
    version, error = pinned.version, pinned.push_error
    if as_json and error is None:
        print_json({**_document(version), "made": pinned.made, "pushed_versions": pinned.pushed})
    elif not as_json:
        done = "is new" if pinned.made else "is the newest already: no table differs from it"
        print_sentence(
            f"Version {version.number} of {version.recipe} at {party} {done}; "
            f"{counted(version.rows, 'row')}, hash {version.keyed_hash[:_HASH_SHOWN]}."
        )
        if pinned.pushed:
            print_sentence(f"Pushed {counted(pinned.pushed, 'version')} to the remote of {party}.")
    if error is not None:
        what = f"version {version.number} of {version.recipe}"
        raise type(error)(
            f"{error.sentence}; {what} is pinned here, and nobody knows that it is pushed",
            fix=error.fix,
            code=error.code,
        )


def versions(party: PartyOption, recipe: RecipeOption = "reviews", as_json: JsonFlag = False) -> None:
    """List the versions of a party's tables, the newest last, and the runs that trained on each."""
    from flows.data_versions import versions_of
    from flows.recipes import load_recipe, to_name
    from infra.settings import load_settings

    found = versions_of(load_recipe(recipe), party, load_settings())
    if as_json:
        print_json(
            {
                "party": party,
                "versions": [
                    {**_document(each.version), "pushed": each.pushed, "runs": list(each.runs)}
                    for each in found
                ],
            }
        )
    elif found:
        print_table(f"Data versions of {party}", _COLUMNS, map(_row, found), whole=("pinned",))
    else:
        named = f"--party {party} --recipe {to_name(recipe, recipe)}"
        say(f"Nothing of {party} is pinned yet; fedcart data pin {named} does it.")


def checkout(
    version: VersionArgument,
    party: PartyOption,
    out: FolderOption,
    recipe: RecipeOption = "reviews",
    as_json: JsonFlag = False,
) -> None:
    """Write the tables of a version into a folder, from the party's cache or its remote: all or none.

    The tables that the party trains on are not touched. To train on an old version, name its files in
    [tables] of the party's fedcart.toml.
    """
    from flows.data_versions import check_out_version
    from flows.recipes import load_recipe
    from infra.settings import load_settings

    with working(f"bringing back data of {party}"):
        found = check_out_version(load_recipe(recipe), party, load_settings(), version, out)
    files = [f"{name}{table.suffix}" for name, table in found.tables.items()]
    if as_json:
        print_json({**_document(found), "folder": str(out), "files": files})
    else:
        say(f"Version {found.number} of {found.recipe} at {party} lies in {out}: {', '.join(files)}.")


def _document(version: "PinnedVersion") -> dict[str, object]:
    return {
        "recipe": version.recipe,
        "version": version.number,
        "created": version.created.isoformat(),
        "rows": version.rows,
        "bytes": version.size,
        "hash": version.keyed_hash,
        "tables": {
            name: {"rows": table.rows, "bytes": table.bytes, "columns": dict(table.columns)}
            for name, table in version.tables.items()
        },
    }


def _row(listed: "ListedVersion") -> tuple[object, ...]:
    version = listed.version
    return (
        version.number,
        f"{version.created:%Y-%m-%d %H:%M}",
        version.rows,
        version.size,
        version.keyed_hash[:_HASH_SHOWN],
        "yes" if listed.pushed else "no",
        ", ".join(listed.runs) or None,
    )
