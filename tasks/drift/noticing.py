"""A party's notice that drift has lasted: signed, below its own prefix, without a value of a row."""

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.drift import MOST_SCORES, DriftNotice, DriftScore
from infra.layout import drift_notice_key
from tasks.drift.checking import DriftCheck
from tasks.drift.desk import DriftDesk
from tasks.exchange import create_signed

LARGEST_EFFECT = 1e9


def notice_of(check: DriftCheck, allowed: tuple[str, ...] | None) -> DriftNotice | None:
    """The notice on a check; `None` when no drift lasted of which the party's policy lets it speak.

    Args:
        check: of the party.
        allowed: features of which it may speak; `None`: any.
    """
    told = [name for name in check.lasting if allowed is None or name in allowed]
    scores = [
        DriftScore(
            feature=finding.feature,
            measure=measure.name,
            effect=min(measure.effect, LARGEST_EFFECT),
            bound=measure.bound,
            p_value=measure.adjusted_p,
        )
        for finding in check.report.findings
        if finding.feature in told
        for measure in finding.measures
        if measure.drifted
    ]
    if not scores:
        return None
    return DriftNotice(
        party=check.party,
        recipe=check.recipe,
        model_sha256=check.model_sha256,
        reference=check.reference,
        window=check.window,
        rows=check.rows,
        scores=tuple(scores[:MOST_SCORES]),
    )


def leave_notice(desk: DriftDesk, notice: DriftNotice) -> str:
    """Put the notice, once for each window; return its key."""
    key = drift_notice_key(desk.party, desk.recipe, sha256_hex(canonical_json(notice)))
    create_signed(desk.store, key, notice, desk.signing_key)
    return key
