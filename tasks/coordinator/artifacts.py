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

from fedmodels.protocol.dropping import dropped_in_words
from fedmodels.protocol.messages import Closed, Record
from fedmodels.protocol.salvage import NOT_IN_TIME
from fedmodels.words import plain
from tasks.coordinator.run import CoordinatorRun
from tasks.coordinator.sets import own_set
from tasks.coordinator.tuning import LEFT_OUT
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


def party_table(record: Record) -> list[dict[str, object]]:
    """One row a party, accepted or not."""
    return [
        {
            "party": party,
            "verdict": verdict(record, party),
            "examples": row.num_examples,
            "train loss": _rounded(row.train_loss),
            "accuracy (own holdout)": _rounded(row.metrics.accuracy if row.metrics else None),
            "seconds": row.seconds,
            "MB up": round(row.bytes_up / 1e6, 2),
            "MB down": round(row.bytes_down / 1e6, 2),
        }
        for party, row in sorted(record.parties.items())
    ]


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


def verdict(record: Record, party: str) -> str:
    """`accepted`, `salvaged` when it is an update of the round before, or the code of the refusal."""
    codes = [refusal.code for refusal in record.refused if refusal.party == party and refusal.round is None]
    if party in record.accepted and all(code in NOT_IN_TIME for code in codes):
        return "salvaged" if codes else "accepted"
    return codes[0] if codes else "not asked"


def gate_markdown(record: Record, *, left_out: bool = False) -> str:
    """The gate's verdict and a sentence for each of its checks.

    Args:
        record: of the round.
        left_out: whether the recipe fine-tunes and there was no public row for it.
    """
    lines = [f"## Round {record.round}: {record.outcome}", ""]
    lines += [f"- {reason}" for reason in record.gate.reasons]
    if record.fine_tuning:
        lines.append(f"- {record.fine_tuning.in_words()}")
    elif left_out:
        lines.append(f"- {LEFT_OUT}")
    if record.dropped:
        lines.append(f"- {dropped_in_words(record.dropped)}")
    lines += [
        f"- {refusal.party} does not count ({refusal.code}): {plain(refusal.reason)}"
        for refusal in record.refused
    ]
    return "\n".join(lines)


def _left_out(run: CoordinatorRun, record: Record) -> bool:
    """Whether the round's model would have been fine-tuned, had there been a public row."""
    recipe = run.plan.recipe
    if recipe.fine_tuning is None or record.candidate_sha256 is None:
        return False
    pinned = run.plan.sets  # a coordinator that only closes the run may not have its tables any more
    return not (pinned["public"].rows if pinned else len(own_set(run, recipe, "public")))


def run_markdown(records: list[Record], closed: Closed) -> str:
    """A table of rounds, then the kept model."""
    lines = [
        "| round | outcome | parties | accuracy | macro F1 | loss | seconds | overhead |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in records:
        scores = record.metrics
        shown = (
            f"{scores.accuracy:.3f} | {scores.macro_f1:.3f} | {scores.loss:.3f}" if scores else "– | – | –"
        )
        lines.append(
            f"| {record.round} | {record.outcome} | {len(record.accepted)} | {shown} "
            f"| {record.seconds.total:.1f} | {record.seconds.overhead:.1f} |"
        )
    final = (
        f"accuracy {closed.final.accuracy:.3f} on the holdout" if closed.final else "no score on the holdout"
    )
    lines += ["", f"**{closed.status}**: {closed.reason}. Kept model `{closed.model_sha256[:12]}`, {final}."]
    return "\n".join(lines)


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


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
