"""What a party tells of drift, and what the coordinator notes of it. Frozen values, without I/O.

    parties/PARTY/drift/RECIPE/HASH.json   create-only, signed   the notice, by the hash of what was signed
    coordinator/drift/notices/PARTY/….json create-only           what the coordinator made of it, once

A notice holds names of features, effects and bounds: no value of a row, and no hash of rows that somebody
who guesses them could recompute.
"""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, ValidationError

from fedmodels.errors import UpdateRefused
from fedmodels.identifiers import Identifier, PrintableName
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import Count, Message, Seconds, Sha256, Signed

NOTICE_LIMIT = 64 * 1024
"""Bytes above which an object is no notice."""
MOST_SCORES = 100
Effect = Annotated[float, Field(ge=0.0, le=1e9)]


class DriftScore(Message):
    """One measure of one feature beyond its bound; units as in `validation/drift/policy.py`."""

    feature: PrintableName
    measure: PrintableName
    effect: Effect
    bound: Effect
    p_value: Annotated[float, Field(ge=0.0, le=1.0)]
    """After correction over all tests of the check."""


class DriftNotice(Message):
    """The payload that a party signs: its fresh rows differ from those of the champion, and have for long."""

    party: Identifier
    recipe: Identifier
    model_sha256: Sha256
    """The champion that the rows were held against."""
    reference: Sha256
    """Names the reference, under the party's own key."""
    window: Sha256
    """Names the fresh rows, under the party's own key."""
    rows: Count
    scores: Annotated[tuple[DriftScore, ...], Field(min_length=1, max_length=MOST_SCORES)]
    new_labelled: Count | None = None
    """Labelled rows that the champion has not met, which a training would learn from; a notice of an older
    version does not tell."""
    mark: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""
    """Drawn at random: a notice that is told anew has a key of its own."""

    @property
    def drift(self) -> str:
        """Names the drift that it tells of, however often it is told: these rows against that champion."""
        facts = ["drift", self.party, self.recipe, self.model_sha256, self.reference, self.window]
        return sha256_hex(canonical_json(facts))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that drifted, in order."""
        return tuple(sorted({score.feature for score in self.scores}))


class SeenNotice(Message):
    """What the coordinator made of an object below a party's prefix for notices; it looks at each once."""

    key: Annotated[str, Field(max_length=1024)]
    party: Identifier
    recipe: Identifier | None = None
    """Of a valid notice, as all that follows."""
    model_sha256: Sha256 | None = None
    drift: Sha256 | None = None
    """Which drift it tells of: the same in a notice and in those that renew it."""
    features: tuple[PrintableName, ...] = ()
    new_labelled: Count | None = None
    age: Seconds = 0.0
    """Of the notice when it was noted, by the store's clock."""
    code: str = ""
    """Why it was refused; empty for a valid one."""

    @property
    def valid(self) -> bool:
        """Whether it is the party's own word."""
        return not self.code


def open_notice(
    envelope: bytes, party: str, place: tuple[str, str], verify: Callable[[bytes, str], bool] | None
) -> DriftNotice:
    """The notice in an envelope, if the party signed it and it lies where it belongs.

    Args:
        envelope: the object as stored: a `Signed` message.
        party: below whose prefix it lies.
        place: recipe and hash, as its key states them.
        verify: checks a signature against the party's public key; `None` for a party that nobody knows.

    Raises:
        UpdateRefused: `drift-party-unknown`, `drift-notice-invalid`, `drift-signature` or
            `drift-notice-misplaced`; nothing of its content is repeated.
    """
    if verify is None:
        raise _refused(party, "is of no party that the coordinator knows", "drift-party-unknown")
    try:
        signed = Signed.model_validate_json(envelope) if len(envelope) <= NOTICE_LIMIT else None
    except ValidationError:
        signed = None
    if signed is None:
        raise _refused(party, f"is no signed message of at most {NOTICE_LIMIT} bytes", "drift-notice-invalid")
    payload = signed.payload.encode()
    if not verify(payload, signed.signature):
        raise _refused(party, "is not signed with the party's key", "drift-signature")
    try:
        notice = DriftNotice.model_validate_json(payload)
    except ValidationError:
        raise _refused(
            party, "is no drift notice of this version of fedcart", "drift-notice-invalid"
        ) from None
    if (notice.party, notice.recipe, sha256_hex(payload)) != (party, *place):
        raise _refused(party, "is of another party or recipe, or lies elsewhere", "drift-notice-misplaced")
    return notice


def check_timely(notice: DriftNotice, age: float, champion_sha256: str | None, max_age: float) -> None:
    """Refuse a notice that is too old, or speaks of a model that is not the champion.

    Args:
        notice: one that its party signed.
        age: seconds since it was put, by the store's clock.
        champion_sha256: of the released model; `None` when there is none.
        max_age: seconds, of the recipe.

    Raises:
        UpdateRefused: `drift-notice-late` or `drift-notice-outdated`.
    """
    if notice.model_sha256 != champion_sha256:
        raise _refused(notice.party, "speaks of a model that is not the champion", "drift-notice-outdated")
    if age > max_age:
        raise _refused(
            notice.party, f"is {age:.0f} s old, above max_notice_age ({max_age:g} s)", "drift-notice-late"
        )


def _refused(party: str, what: str, code: str) -> UpdateRefused:
    return UpdateRefused(f"A drift notice below the prefix of {party} {what}", code=code)
