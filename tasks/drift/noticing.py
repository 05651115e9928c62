"""A party's notice that drift has lasted: signed, below its own prefix, without a value of a row."""

import secrets

from pydantic import ValidationError

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.drift import MOST_SCORES, NOTICE_LIMIT, DriftNotice, DriftScore
from fedmodels.protocol.messages import Signed
from infra.layout import drift_notice_key, drift_prefix
from infra.leftovers import list_objects
from tasks.drift.checking import DriftCheck
from tasks.drift.desk import DriftDesk
from tasks.exchange import create_signed, read_from_party

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
        new_labelled=check.new_labelled,
    )


def leave_notice(desk: DriftDesk, notice: DriftNotice, lasts: float, enough: int) -> str:
    """Put the notice, or find one that says the same and is younger than half of `lasts`; return its key.

    So a party whose rows go on to differ is heard for as long as they do, with two notices in each span of
    `lasts` at most; older ones are swept. A check that is tried again finds what it left.

    Args:
        desk: of the party.
        notice: what is to be said, without a mark.
        lasts: seconds for which a notice counts, by the store's clock.
        enough: new labelled rows that allow a training. Of their number it is news only whether they do.
    """
    for found in list_objects(desk.store, f"{drift_prefix(desk.party)}{desk.recipe}/"):
        if found.age < lasts / 2 and _says(_left(desk, found.key), notice, enough):
            return found.key
    marked = notice.model_copy(update={"mark": secrets.token_hex(16)})
    key = drift_notice_key(desk.party, desk.recipe, sha256_hex(canonical_json(marked)))
    create_signed(desk.store, key, marked, desk.signing_key)
    return key


def _says(left: DriftNotice | None, notice: DriftNotice, enough: int) -> bool:
    if left is None or left.model_copy(update={"new_labelled": notice.new_labelled}) != notice:
        return False
    return ((left.new_labelled or 0) < enough) == ((notice.new_labelled or 0) < enough)


def _left(desk: DriftDesk, key: str) -> DriftNotice | None:
    """What this party said at `key`, without its mark; `None` where no notice lies."""
    signed = read_from_party(desk.store, key, Signed, NOTICE_LIMIT)
    try:
        left = DriftNotice.model_validate_json(signed.payload) if signed else None
    except ValidationError:
        return None
    return left and left.model_copy(update={"mark": ""})
