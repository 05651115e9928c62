"""The kept model of a finished run, and what the run's own messages say of it. No Prefect, no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.allowance import is_of_data
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.messages import (
    Candidate,
    Closed,
    Head,
    Plan,
    Record,
    Session,
)
from infra.keys import verify
from infra.layout import closed_key, evaluation_key, head_key, round_key, session_key
from infra.object_store import ObjectStore
from tasks.exchange import read_bytes_from_party, read_from_party, read_message
from tasks.reading import read_plan, read_records
from validation.admission import RECEIPT_LIMIT
from validation.evaluations import open_evaluation
from validation.release.evidence import PartyScores

LONGEST_REASON = 200
"""Characters of a party's own words in a report."""


@dataclass(frozen=True)
class KeptModel:
    """The model that a finished run keeps: its plan, and the round in which it passed the gate."""

    plan: Plan
    candidate: Candidate
    record: Record
    records: tuple[Record, ...] = ()
    """Of all rounds of the run, in order."""

    @property
    def run(self) -> str:
        """Id of the run."""
        return self.plan.run

    @property
    def round(self) -> int:
        """The round in which the model passed the gate."""
        return self.record.round

    @property
    def sha256(self) -> str:
        """Of the model."""
        return self.candidate.model_sha256


def kept_model(store: ObjectStore, run: str) -> KeptModel:
    """Find the kept model of a run, along a chain of records that is whole.

    Raises:
        InputError: there is no such run, or no model of it passed the gate.
        RunConflict: it is open, or did not finish.
        IntegrityError: its records were changed, or one is missing.
    """
    plan = read_plan(store, run)
    closed = read_message(store, closed_key(run), Closed)
    head = read_message(store, head_key(run), Head)
    if closed is None or head is None:
        raise RunConflict(
            f"The run {run} is still open", fix="release its model when it is over", code="run-open"
        )
    if closed.status != "finished":
        raise RunConflict(
            f"The run {run} is {closed.status}, and only the model of a finished run is released",
            fix="train anew",
            code="run-unfinished",
        )
    records = read_records(store, head)
    check_chain(head, records)
    if head.best_round == 0:
        raise InputError(
            f"The run {run} has kept no model: none passed its gate", fix="train anew", code="model-missing"
        )
    record = records[head.best_round - 1]
    candidate = read_message(store, round_key(run, head.best_round, "candidate"), Candidate)
    hashes = {record.model_sha256, head.best_model_sha256, closed.model_sha256}
    if candidate is None or hashes != {candidate.model_sha256}:
        raise IntegrityError(
            f"The candidate of round {head.best_round} of run {run} is not the model that the run keeps",
            fix=f"see fedcart runs verify {run}",
            code="chain-broken",
        )
    return KeptModel(plan, candidate, record, tuple(records))


def party_scores(store: ObjectStore, kept: KeptModel, champion_sha256: str | None) -> dict[str, PartyScores]:
    """Every party's scores of both models, by party of the candidate's run.

    Both come from one evaluation, made on the same rows, that must still lie there, signed by the party and
    equal to what the round's record holds. Scores that the champion got in its own run, of whatever rows its
    parties held out then, are compared with nothing.

    Args:
        store: the bucket with the coordinator's credentials.
        kept: the candidate.
        champion_sha256: the model that it is compared with; `None` for the first release.
    """
    return {party: _scores(store, kept, party, champion_sha256) for party in sorted(kept.plan.parties)}


def _scores(store: ObjectStore, kept: KeptModel, party: str, champion_sha256: str | None) -> PartyScores:
    row = kept.record.parties.get(party)
    envelope = read_bytes_from_party(store, evaluation_key(party, kept.run, kept.round), RECEIPT_LIMIT)
    evaluation = (
        open_evaluation(envelope, kept.candidate, party, partial(verify, kept.plan.parties[party]))
        if envelope
        else None
    )
    if row is None or row.metrics is None:
        told = evaluation.reason if evaluation and evaluation.metrics is None else ""
        return PartyScores(None, missing=_clause(told) or "it left none in time")
    if envelope is None:
        return PartyScores(None, fault="is gone since its round was closed")
    if evaluation is None or (evaluation.metrics, evaluation.champion_metrics) != (row.metrics, row.champion):
        return PartyScores(None, fault="is not the one that its round was closed with")
    named = kept.candidate.champion
    if champion_sha256 is None:
        return PartyScores(row.metrics)
    if named is None or named.model_sha256 != champion_sha256:
        return PartyScores(row.metrics, missing="the candidate's run did not ask for it")
    if row.champion is None:
        told = evaluation.champion.reason if evaluation.champion else ""
        return PartyScores(row.metrics, missing=_clause(told) or "it left none")
    return PartyScores(row.metrics, row.champion)


def _clause(told: str) -> str:
    """A party's own words as the end of a sentence of ours."""
    words = " ".join(told.split()).rstrip(".")
    return words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}…"


def contracts(store: ObjectStore, kept: KeptModel) -> Mapping[str, str | None]:
    """Every party of the run to how its data broke their contract, as far as is known; empty: they did not.

    The last word counts. Of an update that counts, admission has seen a signed report of a contract that
    holds. A party that was kept out because of its data is told of by the round's record or, where it never
    came to a round, by its lease. `None` when there is neither: it was away, or not asked.
    """
    found: dict[str, str | None] = dict.fromkeys(kept.plan.parties)
    for record in kept.records:
        found |= dict.fromkeys(record.accepted, "")
        found |= {refusal.party: refusal.code for refusal in record.refused if is_of_data(refusal.code)}
    for party in [party for party, verdict in found.items() if verdict is None]:
        lease = read_from_party(store, session_key(party, kept.run), Session, RECEIPT_LIMIT)
        if lease is not None and lease.refusal and is_of_data(lease.refusal):
            found[party] = lease.refusal
    return found
