"""A run as a person reads it, in Markdown: its rounds, what the gate said of each, and the parties.

The same words stand in the Prefect UI, as artifacts, and in the report of `fedcart runs report`.
"""

from collections.abc import Mapping, Sequence

from fedmodels.protocol.dropping import dropped_in_words
from fedmodels.protocol.messages import Closed, Metrics, Plan, Record
from fedmodels.protocol.salvage import NOT_IN_TIME
from fedmodels.words import counted, plain

LEFT_OUT = "global fine-tuning left out: the coordinator has no public row"


def run_page(
    plan: Plan,
    records: Sequence[Record],
    closed: Closed | None,
    scored: Mapping[str, Metrics] | None = None,
) -> str:
    """The whole run on one page.

    Args:
        plan: of the run.
        records: of its rounds, in order.
        closed: `None` while the run is open.
        scored: what the kept model was scored afterwards, by the name of the set.
    """
    recipe = plan.recipe
    said = f": {recipe.description.rstrip('.')}." if recipe.description else "."
    parts = [
        f"# {plan.run}",
        f"Recipe {recipe.name}, {counted(len(plan.parties), 'party')}{said}",
        run_markdown(records, closed),
    ]
    if scored:
        sets = [{"set": name, "rows": row.num_examples, **_scores(row)} for name, row in scored.items()]
        parts += ["The kept model, scored again:", _as_table(sets)]
    for record in records:
        parts += [gate_markdown(record), _as_table(party_table(record))]
    return "\n\n".join(filter(None, parts)) + "\n"


def round_rows(records: Sequence[Record]) -> list[dict[str, object]]:
    """One flat row a round: scores on validation, `None` where the round came to no model."""
    return [
        {"round": record.round, "outcome": record.outcome, **_scores(record.metrics)} for record in records
    ]


def party_rows(records: Sequence[Record]) -> dict[str, list[dict[str, object]]]:
    """Of each party, one flat row a round that it was in: the candidate's scores on its own holdout.

    They are `None` where the party gave none.
    """
    rows: dict[str, list[dict[str, object]]] = {}
    for record in records:
        for party, row in sorted(record.parties.items()):
            own = {"examples": row.num_examples, "train_loss": row.train_loss, **_scores(row.metrics)}
            rows.setdefault(party, []).append({"round": record.round, **own})
    return rows


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


def run_markdown(records: Sequence[Record], closed: Closed | None) -> str:
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
    return "\n".join([*lines, "", _kept(closed) if closed else "**open**"])


def _kept(closed: Closed) -> str:
    final = (
        f"accuracy {closed.final.accuracy:.3f} on the holdout" if closed.final else "no score on the holdout"
    )
    return f"**{closed.status}**: {closed.reason}. Kept model `{closed.model_sha256[:12]}`, {final}."


def _as_table(rows: Sequence[dict[str, object]]) -> str:
    """Rows that have the same keys, as a table of Markdown; empty without a row."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [["–" if cell is None else str(cell) for cell in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _scores(metrics: Metrics | None) -> dict[str, object]:
    return {
        name: None if metrics is None else round(float(getattr(metrics, name)), 6)
        for name in ("accuracy", "macro_f1", "loss")
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
