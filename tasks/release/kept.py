"""The kept model of a finished run, and what the run's own messages say of it. No Prefect, no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from fedmodels.errors import InputError, IntegrityError, RunConflict
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.messages import Candidate, Closed, Head, Metrics, Plan, Record
from infra.keys import verify
from infra.layout import closed_key, evaluation_key, head_key, round_key
from infra.object_store import ObjectStore
from tasks.exchange import read_message
from tasks.reading import read_plan
from validation.admission import RECEIPT_LIMIT
from validation.evaluations import open_evaluation
from validation.release.evidence import PartyScores

BROKEN_CONTRACT = frozenset({"contract-failed", "data-contract-failed", "data-refused"})
"""Codes with which a party is kept out of a round because of its data."""


@dataclass(frozen=True)
class KeptModel:
    """The model that a finished run keeps: its plan, and the round in which it passed the gate."""

    plan: Plan
    candidate: Candidate
    record: Record

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
    found = [read_message(store, round_key(run, n, "record"), Record) for n in range(1, head.round + 1)]
    records = [record for record in found if record is not None]
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
    return KeptModel(plan, candidate, record)


def party_scores(store: ObjectStore, kept: KeptModel, champion: KeptModel | None) -> dict[str, PartyScores]:
    """Every party's scores of both models, by party of the candidate's run.

    The candidate's come from evaluations that must still lie there, signed by the party and equal to what
    the round's record holds. The champion's come from the record of its own round, which holds what the
    party signed then: a party cannot block every later release by removing an old evaluation.
    """
    before = champion.record.parties if champion else {}
    return {
        party: _scores(store, kept, party, before[party].metrics if party in before else None)
        for party in sorted(kept.plan.parties)
    }


def _scores(store: ObjectStore, kept: KeptModel, party: str, champion: Metrics | None) -> PartyScores:
    row = kept.record.parties.get(party)
    if row is None or row.metrics is None:
        return PartyScores(None, champion)
    envelope = store.read(evaluation_key(party, kept.run, kept.round), RECEIPT_LIMIT)
    if envelope is None:
        return PartyScores(None, champion, fault="is gone since its round was closed")
    evaluation = open_evaluation(envelope, kept.candidate, party, partial(verify, kept.plan.parties[party]))
    if evaluation is None or evaluation.metrics != row.metrics:
        return PartyScores(None, champion, fault="is not the one that its round was closed with")
    return PartyScores(row.metrics, champion)


def contracts(kept: KeptModel) -> Mapping[str, str]:
    """Parties of the model's round whose data were checked; how those broke their contract that did.

    Of an update that counts, admission has seen a signed report of a contract that holds.
    """
    found = dict.fromkeys(kept.record.accepted, "")
    for refusal in kept.record.refused:
        if refusal.code in BROKEN_CONTRACT:
            found[refusal.party] = refusal.code
    return found
