"""Parties of a run that counted in none of its rounds: it may well be finished without them."""

from typing import Any

from fedmodels.protocol.allowance import is_of_data
from flows.cli.output import warn


def warn_of_absent(summary: dict[str, Any], recipe: str) -> None:
    """A line for each party that never counted, with why, and where to look.

    Args:
        summary: the run's document.
        recipe: how a command names the run's recipe.
    """
    for party, codes in absent(summary).items():
        said = ", ".join(codes)
        if any(map(is_of_data, codes)):
            look = f"run fedcart data check --party {party} --recipe {recipe} at the party to see why"
        else:
            look = "docs/errors.md says what that means, and the party's own log what happened"
        warn(f"{party} counted in no round of {summary['run_id']} ({said}); {look}.")


def absent(summary: dict[str, Any]) -> dict[str, list[str]]:
    """Each party that was refused, or did not come, whenever it was asked, with the codes of that.

    One that was never asked, as with `fraction_train`, is not among them.
    """
    counted = {party for row in summary["rounds"] for party in row["accepted"]}
    found: dict[str, list[str]] = {}
    for row in summary["rounds"]:
        for refusal in row["refused"]:
            codes = found.setdefault(refusal["party"], [])
            if refusal["code"] not in codes:
                codes.append(refusal["code"])
    return {party: codes for party, codes in sorted(found.items()) if party not in counted}
