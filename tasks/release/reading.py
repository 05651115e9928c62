"""Reading releases from the bucket, as a person's command does: no Prefect, no model."""

from dataclasses import dataclass, replace
from typing import Any

from fedmodels.errors import InputError, IntegrityError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.messages import Plan
from fedmodels.protocol.releases import (
    Approval,
    Champion,
    ReleaseReport,
    ReleaseRequest,
    Unreleasable,
)
from fedmodels.protocol.releasing import Standing, standing_of
from fedmodels.protocol.withdrawal import WithdrawnMark
from infra.layout import (
    all_releases_prefix,
    champion_key,
    past_champion_key,
    plan_key,
    release_key,
    releases_prefix,
    unreleasable_key,
)
from infra.object_store import ObjectStore
from tasks.exchange import parse, read_message
from tasks.release.marks import read_marks


@dataclass(frozen=True)
class StandingReport:
    """A report as it stands, and how long it waited for the word on it.

    `waited`: seconds, by the store's clock, from the report to the approval, or to now while there is none.
    """

    report: ReleaseReport
    sha256: str
    approval: Approval | None
    waited: float


@dataclass(frozen=True)
class ReleaseView:
    """One release; without a report, its checks have not been made, or whoever made them died."""

    request: ReleaseRequest
    found: StandingReport | None
    standing: Standing | str
    refusal: Unreleasable | None = None
    """Why its checks can never be made, or nothing can promote it any more."""
    marks: tuple[WithdrawnMark, ...] = ()
    """One for each notice of withdrawal that touches its model."""

    @property
    def in_words(self) -> str:
        """Where it stands; `champion, withdrawn` of one that learned from what was withdrawn."""
        return f"{self.standing}, withdrawn" if self.marks else self.standing

    def document(self) -> dict[str, Any]:
        """As one JSON document."""
        report = self.found.report if self.found else None
        approval = self.found.approval if self.found else None
        return {
            **self.request.model_dump(mode="json"),
            "standing": self.standing,
            "passed": report.passed if report else None,
            "report": report.model_dump(mode="json") if report else None,
            "approval": approval.model_dump(mode="json") if approval else None,
            "waited": self.found.waited if self.found else None,
            "refusal": self.refusal.model_dump(mode="json") if self.refusal else None,
            "withdrawn": [mark.model_dump(mode="json") for mark in self.marks],
        }


def released_recipes(store: ObjectStore) -> list[str]:
    """Recipes of which there is a release, in order."""
    return store.list_folders(all_releases_prefix())


def release_numbers(store: ObjectStore, recipe: str) -> list[int]:
    """Numbers of the recipe's releases, in order."""
    return sorted(int(name) for name in store.list_folders(releases_prefix(recipe)) if name.isdecimal())


def read_champion(store: ObjectStore, recipe: str) -> Champion | None:
    """The released model, or `None` before the first release."""
    return read_message(store, champion_key(recipe), Champion)


def read_released(store: ObjectStore, recipe: str) -> tuple[Champion, Plan] | None:
    """The released model and the plan of its run, or `None` before the first release.

    Raises:
        IntegrityError: either is damaged, or of another version of fedcart, or the plan is gone
            (`plan-missing`).
    """
    champion = read_champion(store, recipe)
    if champion is None:
        return None
    plan = read_message(store, plan_key(champion.run), Plan)
    if plan is None:
        raise IntegrityError(
            f"The plan of run {champion.run}, from which the champion of {recipe} comes, is gone",
            fix="restore it from a backup, or release another model",
            code="plan-missing",
        )
    return champion, plan


def read_history(store: ObjectStore, recipe: str, newest: bytes | None = None) -> list[Champion]:
    """All pointers, oldest first, each held against the hash that the one after it names.

    Args:
        store: the bucket.
        recipe: name of the recipe.
        newest: the champion's bytes where they were read before.

    Raises:
        IntegrityError: `champions-broken`: a pointer is missing or was changed.
    """
    data = newest if newest is not None else store.read(champion_key(recipe))
    history: list[Champion] = []
    while data is not None:
        pointer = parse(Champion, data, champion_key(recipe))
        if pointer.recipe != recipe or (history and pointer.sequence != history[-1].sequence - 1):
            raise _broken(recipe, pointer.sequence, "is not in its place")
        history.append(pointer)
        if pointer.previous_sha256 is None:
            break
        data = store.read(past_champion_key(recipe, pointer.previous_sha256))
        if data is None or sha256_hex(data) != pointer.previous_sha256:
            raise _broken(recipe, pointer.sequence - 1, "is missing" if data is None else "was changed")
    return history[::-1]


def read_report(store: ObjectStore, recipe: str, release: int) -> StandingReport:
    """The report of a release, and what stands of its approval.

    Raises:
        InputError: there is no such release, or no report of it.
    """
    found = find_report(store, recipe, release)
    if found is None:
        read_request(store, recipe, release)
        raise InputError(
            f"Release {release} of {recipe} has no report yet",
            fix=f"see fedcart release show {recipe} {release}, or propose the model anew",
            code="release-unreported",
        )
    return found


def find_report(store: ObjectStore, recipe: str, release: int) -> StandingReport | None:
    """The report of a release, or `None` while there is none."""
    key, approval_key = (release_key(recipe, release, name) for name in ("report", "approval"))
    data = store.read(key)
    if data is None:
        return None
    approval = read_message(store, approval_key, Approval)
    if approval is None:
        waited = store.age(key) or 0.0
    else:  # two moments, and not two ages: those are of two requests, between which time goes by
        reported, answered = store.put_at(key), store.put_at(approval_key)
        lasted = (answered - reported).total_seconds() if reported and answered else 0.0
        waited = max(0.0, lasted - approval.delay)
    return StandingReport(parse(ReleaseReport, data, key), sha256_hex(data), approval, waited)


def read_request(store: ObjectStore, recipe: str, release: int) -> ReleaseRequest:
    """The request of a release.

    Raises:
        InputError: there is no such release.
    """
    found = read_message(store, release_key(recipe, release, "request"), ReleaseRequest)
    if found is None:
        numbers = release_numbers(store, recipe)
        known = ", ".join(str(number) for number in numbers[-5:]) or "none"
        raise InputError(
            f"There is no release {release} of {recipe} in the bucket (the latest are: {known})",
            fix="see fedcart release list",
            code="release-unknown",
        )
    return found


def read_release(
    store: ObjectStore, recipe: str, release: int, history: list[Champion] | None = None
) -> ReleaseView:
    """One release and where it stands.

    Raises:
        InputError: there is no such release.
    """
    return replace(_read_unmarked(store, recipe, release, history), marks=read_marks(store, recipe, release))


def _read_unmarked(
    store: ObjectStore, recipe: str, release: int, history: list[Champion] | None
) -> ReleaseView:
    request = read_request(store, recipe, release)
    found = find_report(store, recipe, release)
    if found is None:
        refusal = find_refusal(store, recipe, request.run)
        return ReleaseView(request, None, "cannot be checked" if refusal else "no report yet", refusal)
    past = read_history(store, recipe) if history is None else history
    standing = standing_of(found.report, found.approval, found.waited, past)
    if standing in ("ready", "awaiting approval"):
        spoilt = read_message(store, release_key(recipe, release, "spoilt"), Unreleasable)
        if spoilt is not None:
            return ReleaseView(request, found, "cannot be promoted", spoilt)
    return ReleaseView(request, found, standing)


def find_refusal(store: ObjectStore, recipe: str, run: str) -> Unreleasable | None:
    """Why the kept model of a run can never be released, if that was seen."""
    return read_message(store, unreleasable_key(recipe, run), Unreleasable)


def list_releases(store: ObjectStore, recipe: str) -> list[ReleaseView]:
    """All releases of a recipe, oldest first."""
    history = read_history(store, recipe)
    return [read_release(store, recipe, number, history) for number in release_numbers(store, recipe)]


def _broken(recipe: str, sequence: int, how: str) -> IntegrityError:
    return IntegrityError(
        f"Champion {sequence} of {recipe} {how}",
        fix="restore it from a backup",
        code="champions-broken",
    )
