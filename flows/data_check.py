"""A party's look at its own data: held against the contract of a recipe, on the party's own machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from fedmodels.errors import DataRefused, InputError
from fedmodels.recipe import Recipe
from flows.data_preparation import data_folder
from flows.own_settings import party_settings, party_workspace
from infra.private_files import read_json
from infra.settings import Settings, party_tables

if TYPE_CHECKING:
    from tasks.party.kept_contract import ContractCheck


def check_party(recipe: Recipe, party: str, settings: Settings) -> "ContractCheck":
    """The verdict on a party's data, new or kept; everything stays in the party's folder.

    Args:
        recipe: the recipe.
        party: one of its parties.
        settings: of this process: the party's own, or of the machine that plays all parties.

    Raises:
        InputError: the recipe has no such party, the party no table, nobody knows the classes, the
            party's own expectations are wrong, or a table is missing or damaged.
    """
    from tasks.party.contract import Terms, check_tables
    from tasks.party.kept_contract import check_unless_kept, contract_folder, contract_key
    from tasks.party.withdrawn import read_withdrawn

    own = party_settings(recipe, party, settings)
    tables, workspace = party_tables(own.tables, recipe.name, party), party_workspace(party, settings)
    try:
        withdrawn = read_withdrawn(workspace, recipe.name, told=own.policy.tell_withdrawn)
        terms = Terms(recipe, _labels(recipe, settings.home), tables, withdrawn)
        return check_unless_kept(
            contract_folder(workspace, recipe.name),
            terms,
            contract_key(terms),
            lambda now, scratch: check_tables(terms, now, scratch),
        )
    except DataRefused as error:  # in a run the party sits the round out; here whoever asked can correct it
        raise InputError(error.sentence, fix=error.fix, code=error.code) from None


def told_outside(party: str, checked: "ContractCheck") -> dict[str, object]:
    """What of a verdict may leave the party: verdicts and counts, and neither a value nor a path.

    The same data and expectations give the same document.
    """
    verdict = checked.verdict
    return {
        "party": party,
        "passed": verdict.passed,
        "broken": {
            "critical": len(verdict.critical),
            "warnings": len(verdict.failed) - len(verdict.critical),
        },
        "rows": {"train": checked.train_rows, "holdout": checked.holdout_rows},
        "cleaned": checked.cleaned,
        "failed": list(verdict.failed),
        "expectations": [
            {
                "part": finding.part,
                "expectation": finding.expectation,
                "column": finding.column,
                "severity": finding.severity,
                "verdict": finding.said,
                "rows": finding.rows,
                "unexpected": finding.unexpected,
            }
            for finding in verdict.findings
        ],
    }


def _labels(recipe: Recipe, home: Path) -> tuple[str, ...]:
    """The classes of the recipe, or those of the coordinator's prepared tables, if they lie here."""
    from fedmodels.spelling import clean_label

    if recipe.data.labels is not None:
        return tuple(clean_label(label) for label in recipe.data.labels)
    manifest = read_json(data_folder(home, "coordinator", recipe.name) / "manifest.json")
    if manifest is None:
        raise InputError(
            f"Nobody says which classes the recipe {recipe.name} has",
            fix="list them in data.labels of the recipe, or run fedcart data prepare",
            code="labels-unknown",
        )
    return tuple(str(label) for label in manifest["labels"])
