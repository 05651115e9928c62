"""What a release leaves in the bucket, and who may move the champion. Frozen values, without I/O.

    request.json    create-only   takes the release's number: which model asks to replace which
    report.json     create-only   what the checks say, and whether a person has to approve
    signature.json  create-only   the signature of the model's files, in the format of Sigstore
    taken-N.json    create-only   who goes on with it, when the flow run before is dead
    approval.json   create-only   approve or reject, once
    spoilt.json     create-only   why nothing can promote the release any more
    champion.json   by swap       the released model; names the hash of the champion before it

Times are durations by the store's clock: the age of `report.json` when `approval.json` was written, less the
time for which a word in Prefect's form waited to be written.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fedmodels.identifiers import Identifier
from fedmodels.protocol.messages import Message, Metrics, OptionalSha256, Seconds, Sha256

Verdict = Literal["passed", "failed", "not-checked", "reported"]
"""`failed` alone keeps a model from being released; `reported` decides nothing whatever its value."""
ReleaseNumber = Annotated[int, Field(ge=1)]
LONGEST_NAME = 100
LONGEST_WORDS = 2000
Who = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Words = Annotated[str, Field(max_length=LONGEST_WORDS)]
STAGE = "champion"
"""GTO's name of what a recipe has one of."""
AT_DEADLINE = "deadline"
"""Who rejects a release that nobody approved in time."""


class ReleaseCheck(Message):
    """One check of a release: what was measured, the bound, the verdict and a sentence for people."""

    name: Annotated[str, Field(min_length=1)]
    value: float | None
    bound: float | None
    verdict: Verdict
    sentence: str


class ReleaseRequest(Message):
    """`request.json`: a model asks to be released. It takes the number, and nothing else does."""

    recipe: Identifier
    release: ReleaseNumber
    ticket: Annotated[str, Field(min_length=1, max_length=100)]
    """Who asks, the id of a flow run say: who is started again finds the release that it began."""
    run: Identifier
    round: ReleaseNumber
    """Round of the run in which the model passed the gate."""
    model_sha256: Sha256
    champion_release: ReleaseNumber | None = None
    """The release that it is compared with; `None` for the first one."""
    champion_run: Identifier | None = None
    champion_model_sha256: OptionalSha256 = None
    reason: Words = ""


class Taking(Message):
    """`taken-N.json`: a flow run goes on with a release whose flow run before it is dead."""

    recipe: Identifier
    release: ReleaseNumber
    ticket: Annotated[str, Field(min_length=1, max_length=100)]


class Unreleasable(Message):
    """`unreleasable/RUN.json`: what keeps the kept model of a run from ever getting a report.

    And `spoilt.json` of a release: what keeps that release from ever being promoted.
    """

    recipe: Identifier
    run: Identifier
    code: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    sentence: Words


class ReleaseReport(Message):
    """`report.json`: what the checks say of the model that `request.json` names."""

    recipe: Identifier
    release: ReleaseNumber
    request_sha256: Sha256
    run: Identifier
    model_sha256: Sha256
    champion_release: ReleaseNumber | None = None
    champion_model_sha256: OptionalSha256 = None
    checks: Annotated[tuple[ReleaseCheck, ...], Field(min_length=1)]
    validation: Metrics | None
    """The candidate on the validation set, which decides; `None` when a score was not finite."""
    champion_validation: Metrics | None = None
    holdout: Metrics | None = None
    """The candidate on the coordinator's holdout, which decides nothing."""
    approval: Literal["none", "person"]
    approval_deadline: Seconds
    """Age of this report at which nobody may approve it any more."""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.verdict == "failed")


class Approval(Message):
    """`approval.json`: a person's word on a report, or the deadline's."""

    recipe: Identifier
    release: ReleaseNumber
    report_sha256: Sha256
    decision: Literal["approve", "reject"]
    by: Who
    """As they say themselves: whoever holds the coordinator's credentials can write any name."""
    comment: Words = ""
    delay: Annotated[Seconds, Field(exclude_if=lambda seconds: seconds == 0.0)] = 0.0
    """From the word itself, in Prefect's form, to this message; not written where it is 0."""


class Champion(Message):
    """`champion.json`: the released model. Each names the one before, so that the history is a chain."""

    recipe: Identifier
    sequence: ReleaseNumber
    """Moves of the pointer so far, this one included."""
    action: Literal["promote", "rollback"]
    release: ReleaseNumber
    run: Identifier
    model_sha256: Sha256
    report_sha256: Sha256
    previous_sha256: Sha256 | None
    """Hash of the pointer before, `None` for the first."""
    by: Who
    reason: Words = ""


def version_tag(recipe: str, release: int) -> str:
    """The release's tag in the convention of GTO, which takes semantic versions alone."""
    return f"{recipe}@v{release}.0.0"


def stage_tag(pointer: Champion) -> str:
    """The tag of one move of the champion, in the convention of GTO: the last says which release it is."""
    return f"{pointer.recipe}#{STAGE}#{pointer.sequence}"


def next_champion(
    report: ReleaseReport, report_sha256: str, standing: Champion | None, standing_sha256: str | None, by: str
) -> Champion:
    """The pointer after a promotion."""
    return Champion(
        recipe=report.recipe,
        sequence=standing.sequence + 1 if standing else 1,
        action="promote",
        release=report.release,
        run=report.run,
        model_sha256=report.model_sha256,
        report_sha256=report_sha256,
        previous_sha256=standing_sha256,
        by=by,
    )


def returned_champion(
    target: Champion, standing: Champion, standing_sha256: str, by: str, reason: str
) -> Champion:
    """The pointer after a rollback to what `target` named."""
    return Champion(
        recipe=standing.recipe,
        sequence=standing.sequence + 1,
        action="rollback",
        release=target.release,
        run=target.run,
        model_sha256=target.model_sha256,
        report_sha256=target.report_sha256,
        previous_sha256=standing_sha256,
        by=by,
        reason=reason,
    )


def released(history: Sequence[Champion], release: int) -> Champion | None:
    """The last pointer that named this release, if one ever did. `history` is oldest first."""
    return next((pointer for pointer in reversed(history) if pointer.release == release), None)


def standing_releases(history: Sequence[Champion]) -> list[Champion]:
    """The champions that a row of rollbacks would go back through, the present one last.

    A promotion comes on top. A rollback takes off what is above the release that it returns to, so that a
    second one goes further back instead of forth again.
    """
    stack: list[Champion] = []
    for pointer in history:
        places = [n for n, below in enumerate(stack) if below.release == pointer.release]
        del stack[places[0] if places else len(stack) :]
        stack.append(pointer)
    return stack
