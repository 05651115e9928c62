"""What a person sees of a drift check in the Prefect UI: verdicts, effects and bounds, and no value of a row.

At a shared server the artifacts are not the party's alone, so they speak of the same features as its notices.
"""

from dataclasses import replace

from prefect.artifacts import create_image_artifact, create_markdown_artifact

from fedmodels.words import plain
from tasks.drift.checking import DriftCheck
from tasks.drift.plot import as_image_url, bar, drift_svg, largest
from tasks.drift.words import verdict_in_words
from tasks.showing import best_effort


def show_check(check: DriftCheck, allowed: tuple[str, ...] | None) -> None:
    """A table and a picture, one of each for each party and recipe; the UI keeps their past."""
    shown = visible(check, allowed)
    best_effort(
        lambda: create_markdown_artifact(
            markdown=check_markdown(shown),
            key=f"{check.recipe}-{check.party}-drift",
            description=f"Drift of {check.recipe} at {check.party}: effects and bounds.",
        ),
        lambda: create_image_artifact(
            image_url=as_image_url(drift_svg(shown.report)),
            key=f"{check.recipe}-{check.party}-drift-plot",
            description=f"Drift of {check.recipe} at {check.party}: effects as multiples of their bounds.",
        ),
    )


def visible(check: DriftCheck, allowed: tuple[str, ...] | None) -> DriftCheck:
    """The check without features of which the party's policy does not let it speak."""
    if allowed is None:
        return check
    findings = tuple(finding for finding in check.report.findings if finding.feature in allowed)
    report = replace(
        check.report,
        findings=findings,
        drifted=any(finding.drifted for finding in findings),
        not_checked=tuple(name for name in check.report.not_checked if name in allowed),
        not_compared=tuple(each for each in check.report.not_compared if each.feature in allowed),
    )
    return replace(check, report=report, lasting=tuple(name for name in check.lasting if name in allowed))


def check_markdown(check: DriftCheck) -> str:
    """The verdict in a sentence, and a row for each feature."""
    lines = [
        f"## {plain(verdict_in_words(check))}",
        "",
        f"{check.rows} fresh rows against those of the champion `{check.model_sha256[:12]}` "
        f"of run {check.run}.",
        "",
        "| feature | nearest to its bound | effect | bound | p | | in words |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for finding in check.report.findings:
        measure = largest(finding)
        numbers = (
            f"{measure.name} | {measure.effect:.3f} | {measure.bound:g} | {measure.adjusted_p:.4f}"
            if measure
            else "– | – | – | –"
        )
        lines.append(f"| {plain(finding.feature)} | {numbers} | {bar(measure)} | {plain(finding.sentence)} |")
    if check.report.not_checked:
        lines += ["", f"Not checked for want of labels: {', '.join(check.report.not_checked)}."]
    for each in check.report.not_compared:
        lines += ["", f"Not compared: {plain(each.feature)}. {plain(each.sentence)}"]
    return "\n".join(lines)
