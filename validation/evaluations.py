"""A party's scores of the candidate: what they must be before the gate looks at them.

Whatever else lies there counts as an abstention. It must not end the coordinator, since every one that
resumes the run would read it again.
"""

from pydantic import ValidationError

from fedmodels.protocol.messages import Candidate, Evaluation, Signed
from validation.admission import RECEIPT_LIMIT, Verify
from validation.plausibility import implausible


def open_evaluation(envelope: bytes, candidate: Candidate, party: str, verify: Verify) -> Evaluation | None:
    """The evaluation in `envelope`, if the party signed it, for this candidate, within all bounds.

    Args:
        envelope: the object as stored: a `Signed` message.
        candidate: what was to be scored.
        party: who was asked.
        verify: checks a signature against the party's public key from the plan.
    """
    if len(envelope) > RECEIPT_LIMIT:
        return None
    try:
        signed = Signed.model_validate_json(envelope)
        if not verify(signed.payload.encode(), signed.signature):
            return None
        evaluation = Evaluation.model_validate_json(signed.payload)
    except ValidationError:
        return None
    asked = (candidate.run, candidate.round, party, candidate.model_sha256)
    told = (evaluation.run, evaluation.round, evaluation.party, evaluation.model_sha256)
    if told != asked or implausible(evaluation) or not _compares(evaluation, candidate):
        return None
    return evaluation


def _compares(evaluation: Evaluation, candidate: Candidate) -> bool:
    """Whether scores of a champion, if there are any, are of the one that was named, on as many rows."""
    score = evaluation.champion
    if score is None:
        return True
    named = candidate.champion is not None and candidate.champion.model_sha256 == score.model_sha256
    if score.metrics is None or evaluation.metrics is None:
        return named and score.metrics is None
    return named and score.metrics.num_examples == evaluation.metrics.num_examples
