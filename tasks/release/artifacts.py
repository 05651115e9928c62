"""What a person sees of a release in the Prefect UI: the report, and the form's own words. Best effort."""

from prefect.artifacts import create_markdown_artifact

from fedmodels.protocol.releases import ReleaseReport, ReleaseRequest
from fedmodels.protocol.releasing import failed_checks
from fedmodels.words import plain, short_number
from infra.layout import release_key
from tasks.showing import best_effort

PARTY = "party/"
MARKS = {"passed": "✓ passed", "failed": "✗ refused", "not-checked": "– not checked", "reported": "reported"}


def show_report(request: ReleaseRequest, report: ReleaseReport) -> None:
    """The report as an artifact, one for each release."""
    best_effort(
        lambda: create_markdown_artifact(
            markdown=report_markdown(request, report),
            key=f"{report.recipe}-release-{report.release}",
            description=f"Release {report.release} of {report.recipe}: what the checks say.",
        )
    )


def show_card(report: ReleaseReport, card: str) -> None:
    """The model card of a release that was promoted as an artifact, and where its lineage record lies."""
    place = release_key(report.recipe, report.release, "lineage")
    body = card.partition("\n---\n")[2].lstrip()  # without the header, which is for programs
    command = f"fedcart release show {report.recipe} {report.release} --json"
    best_effort(
        lambda: create_markdown_artifact(
            markdown=f"{body}\nThe signed lineage record is `{place}` in the bucket: `{command}`.\n",
            key=f"{report.recipe}-release-{report.release}-lineage",
            description=f"Where release {report.release} of {report.recipe} comes from.",
        )
    )


def report_markdown(request: ReleaseRequest, report: ReleaseReport) -> str:
    """What asks to be released, the verdict, and a table of all checks."""
    asked = f" Asked for because: {plain(request.reason)}." if request.reason else ""
    against = "the first release, compared with bounds alone"
    if report.champion_release and report.champion_model_sha256:
        model = report.champion_model_sha256[:12]
        against = f"compared with release {report.champion_release}, model `{model}`"
    lines = [
        f"## Release {report.release} of {report.recipe}: {verdict_in_words(report)}",
        "",
        f"Model `{report.model_sha256[:12]}` of run {report.run}, {against}.{asked}",
        "",
        "| check | value | bound | verdict | in words |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    lines += [
        f"| {plain(check.name)} | {_cell(check.value)} | {_cell(check.bound)} | {MARKS[check.verdict]} "
        f"| {plain(check.sentence)} |"
        for check in report.checks
    ]
    return "\n".join(lines)


def verdict_in_words(report: ReleaseReport) -> str:
    """Which checks it failed; or `no check refused it`, and at which parties none was made."""
    if report.failed:
        return failed_checks(report)
    names = [check.name for check in report.checks if check.verdict == "not-checked"]
    unheard = [name.removeprefix(PARTY) for name in names if name.startswith(PARTY)]
    return "no check refused it" + (f" (not checked: {', '.join(unheard)})" if unheard else "")


def _cell(value: float | None) -> str:
    return "–" if value is None else short_number(value)
