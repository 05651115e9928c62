"""`fedcart release card`, and what `release show` tells of where a release comes from."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedmodels.words import counted
from flows.cli.output import JsonFlag, RecipeArgument, ReleaseArgument, print_json, print_table, say

if TYPE_CHECKING:
    from fedmodels.protocol.lineage import Lineage
    from infra.keys import ModelKey, PrivateKey
    from infra.settings import Settings


def card(
    recipe: RecipeArgument,
    release: ReleaseArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default it is printed.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """A model card in the format of Hugging Face, made from the lineage record of a release."""
    from fedmodels.identifiers import check_identifier
    from fedmodels.model_card import model_card
    from flows.open_store import open_named_store
    from infra.settings import load_settings
    from infra.whole_files import write_whole
    from tasks.release.lineage import read_lineage
    from tasks.release.marks import read_marks
    from tasks.release.reading import read_report

    settings = load_settings()
    with open_named_store(settings) as store:
        found = read_report(store, check_identifier("recipe", recipe), release)
        public = coordinator_public_key(settings)
        marks = read_marks(store, recipe, release, public)
        text = model_card(read_lineage(store, found, public), found.report, marks)
    if out is not None:
        write_whole(out, text)
    if as_json:
        file = str(out) if out else None
        print_json({"recipe": recipe, "release": release, "card": text, "file": file})
    elif out is None:
        sys.stdout.write(text)
    else:
        say(f"The model card of release {release} of {recipe} is {out}.")


def coordinator_key(settings: "Settings") -> "PrivateKey":
    """The coordinator's, with which a release is documented."""
    from flows.open_store import applying_settings
    from infra.keys import role_key

    applying = applying_settings(settings)
    return role_key(applying.signing_key, applying.role)


def coordinator_model_key(settings: "Settings") -> "ModelKey":
    """The coordinator's, with which the files of a release are signed."""
    from flows.open_store import applying_settings
    from infra.keys import role_model_key

    applying = applying_settings(settings)
    return role_model_key(applying.model_signing_key, applying.role)


def coordinator_public_key(settings: "Settings") -> str | None:
    """Base64; `None` where these settings are not the coordinator's, and so cannot tell its signature."""
    from flows.open_store import applying_settings
    from infra.keys import public_key
    from infra.layout import COORDINATOR

    applying = applying_settings(settings)
    if applying.role != COORDINATOR or applying.signing_key is None:
        return None
    return public_key(coordinator_key(settings))


def tell_lineage(lineage: "Lineage") -> None:
    """A table of the data, and a line of what else made the model."""
    columns = [
        *(("party", "left"), ("version", "left"), ("rows' hash", "left")),
        *(("training rows", "right"), ("rounds", "left")),
    ]
    rows = [
        (
            version.party,
            (version.version or "–")[:12],
            version.data_hash[:12],
            version.train_rows,
            ", ".join(map(str, version.rounds)),
        )
        for version in lineage.data
    ]
    print_table("What it learned from", columns, rows)
    commit = f"commit {lineage.code[:12]}" if lineage.code else "a commit that is not known"
    say(
        f"From {lineage.start} ({lineage.base_model_sha256[:12]}) in "
        f"{counted(len(lineage.rounds), 'round')} by {commit}, recipe {lineage.training_sha256[:12]}."
    )
    if answered := lineage.withdrawal:
        without = f", and goes without {', '.join(answered.without)}" if answered.without else ""
        say(f"It answers {counted(len(answered.notices), 'notice')} of {answered.reason}{without}.")
    if lineage.signature_sha256:
        say(f"Its files are signed, by the signature {lineage.signature_sha256[:12]}.")
