"""What a person sees of a round in the Prefect UI. Best effort: the bucket holds the truth."""

from collections.abc import Mapping
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.utilities.urls import url_for

from fedmodels.protocol.messages import Closed, Record
from fedmodels.protocol.pages import gate_markdown, party_table, run_markdown
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import own_set
from tasks.policy import LOCAL
from tasks.showing import best_effort
from tasks.tagging import tagged


@task(task_run_name="show_round · round {record.round}", **LOCAL)
@tagged
def show_round(run: CoordinatorRun, record: Record) -> None:
    """A table of parties, the gate's reasoning, and how far the run is."""
    key = f"{run.run}-round-{record.round}"
    best_effort(
        lambda: create_table_artifact(
            table=party_table(record),
            key=f"{key}-parties",
            description=parties_description(record, run.sessions),
        ),
        lambda: create_markdown_artifact(
            markdown=gate_markdown(record, left_out=_left_out(run, record)),
            key=f"{key}-gate",
            description=f"Round {record.round}: why the gate let the model pass, or did not.",
        ),
        lambda: _show_progress(run),
    )


@task(task_run_name="show_run · {run.run}", **LOCAL)
@tagged
def show_run(run: CoordinatorRun, closed: Closed) -> None:
    """The run in one page: how the scores went, and which model is kept."""
    markdown = run_markdown(run.records, closed)
    best_effort(
        lambda: create_markdown_artifact(
            markdown=markdown, key=f"{run.run}-report", description="All rounds, and the model that is kept."
        )
    )


def parties_description(record: Record, sessions: Mapping[str, str]) -> str:
    """What the table shows, and a link to each party's session.

    Args:
        record: of the closed round.
        sessions: ids of the flow runs that this coordinator started, by party. The ids in `record` are what
            the parties say.
    """
    links = [
        f"[{party}]({url_for('flow-run', obj_id=sessions[party])})"
        for party in sorted(record.parties)
        if party in sessions
    ]
    said = f"Round {record.round}: what each party sent, and what became of it."
    return f"{said} Sessions: {', '.join(links)}." if links else said


def _left_out(run: CoordinatorRun, record: Record) -> bool:
    """Whether the round's model would have been fine-tuned, had there been a public row."""
    recipe = run.plan.recipe
    if recipe.fine_tuning is None or record.candidate_sha256 is None:
        return False
    pinned = run.plan.sets  # a coordinator that only closes the run may not have its tables any more
    return not (pinned["public"].rows if pinned else len(own_set(run, recipe, "public")))


def _show_progress(run: CoordinatorRun) -> None:
    percent = 100.0 * min(1.0, run.head.passed_rounds / run.plan.recipe.num_rounds)
    if run.progress_artifact is not None:
        update_progress_artifact(artifact_id=run.progress_artifact, progress=percent)
    else:
        created = create_progress_artifact(
            progress=percent, key=f"{run.run}-progress", description="Rounds that passed, of those wanted."
        )
        assert isinstance(created, UUID)
        run.progress_artifact = created
