"""What a person sees of a party's data in the Prefect UI: verdicts and counts, and no value.

At a shared server the artifact is not the party's alone. So it holds what may leave the party, and of
expectations of the party's own no column.
"""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from tasks.party.boundary import sealed
from tasks.party.kept_contract import ContractCheck
from tasks.party.session import PartySession
from tasks.policy import LOCAL
from tasks.showing import best_effort
from tasks.tagging import tagged
from validation.verdict import COLUMNS


@task(task_run_name="show_contract · {session.party}", **LOCAL)
@tagged
@sealed("data")
def show_contract(session: PartySession) -> str:
    """A table of the contract's expectations; nothing when the data could not be read at all."""
    if (contract := session.contract) is None:
        return session.party
    if contract.unchanged:
        get_run_logger().info(
            "Validation is skipped: neither data nor expectations of party %s have changed", session.party
        )
    best_effort(
        lambda: create_markdown_artifact(
            markdown=contract_markdown(contract),
            key=f"{session.run}-{session.party}-contract",
            description=f"What the data contract found at {session.party}.",
        )
    )
    return session.party


def contract_markdown(contract: ContractCheck) -> str:
    """The verdict in a sentence, and a row for each expectation, what failed first."""
    said = "Neither data nor expectations have changed since they were evaluated."
    lines = [
        contract.verdict.in_words(),
        *([said] if contract.unchanged else []),
        f"{contract.train_rows} rows to train on, {contract.holdout_rows} held out.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| {' | '.join('---:' if name in ('rows', 'unexpected') else '---' for name in COLUMNS)} |",
    ]
    findings = sorted(contract.verdict.findings, key=lambda finding: (finding.passed, finding.severity))
    lines += [f"| {' | '.join(finding.cells())} |" for finding in findings]
    return "\n".join(lines)
