"""A drift check in one sentence, for commands and artifacts alike. No Prefect."""

from tasks.drift.checking import DriftCheck


def verdict_in_words(check: DriftCheck) -> str:
    """One line: what drifted, whether it has lasted, and what could not be compared."""
    left_out = ", ".join(each.feature for each in check.report.not_compared)
    return _drift_in_words(check) + (f"; not compared: {left_out}" if left_out else "")


def _drift_in_words(check: DriftCheck) -> str:
    place = f"{check.recipe} at {check.party}"
    if check.lasting:
        lasted = f"in {check.needed} of the last {check.of} checks" if check.of > 1 else "in the last check"
        return f"{place}: {', '.join(check.lasting)} drifted {lasted}"
    if check.report.drifted:
        found = ", ".join(check.report.drifted_features)
        return f"{place}: {found} drifted in the last check, not yet in {check.needed} of {check.of}"
    return f"{place}: nothing drifted"
