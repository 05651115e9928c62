"""What must hold whatever happens; each with the name under which docs/reliability.md lists it.

Checked at every write that changes something decisive, and once more at the end.
"""

import math
import re
from typing import TYPE_CHECKING

from fedmodels.errors import FedcartError, IntegrityError
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.chain import check_chain
from fedmodels.protocol.messages import Announcement, Candidate, Closed, Decision, Head, Record
from infra.layout import closed_key, head_key, round_key
from tests.simulation.proposing import model_of
from tests.simulation.scenario import RUN

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

CODE = re.compile(r"[a-z][a-z0-9-]{0,59}")
NAMED = re.compile(r"The object (\S+) is damaged")
STOP_SECONDS = 3.0
"""How long after a cancel a request may still be on its way."""
NAMES = (
    "head-is-monotone",
    "one-coordinator-an-epoch",
    "chain-is-valid",
    "written-once",
    "counts-once",
    "was-asked",
    "verified-only",
    "damage-stays-out",
    "damage-is-named",
    "votes-are-signed",
    "weights-sum-to-one",
    "model-follows-decisions",
    "refusals-have-codes",
    "nobody-vanishes",
    "enough-are-asked",
    "dropped-are-left-out",
    "cancelling-keeps-head",
    "never-stuck",
)


class Broken(AssertionError):
    """An invariant does not hold; `name` says which."""

    def __init__(self, name: str, what: str) -> None:
        assert name in NAMES
        self.name = name
        super().__init__(f"{name}: {what}")


class Checker:
    """Watches every object that is written."""

    def __init__(self, world: "Simulation") -> None:
        self.world = world
        self.head: Head | None = None
        self.first: dict[str, object] = {}
        self.counted: dict[tuple[int, str], int] = {}
        self.codes: set[str] = set()
        self.votes = 0
        self.closed_at: float | None = None

    def observe(self, key: str, value: object, issued: float) -> None:
        """Check what was just written at `key` by a request that was issued at `issued`."""
        if key == head_key(RUN):
            self._check_head(value, issued)
        elif key.startswith("coordinator/runs/"):
            if self.first.setdefault(key, value) != value:
                raise Broken("written-once", f"{key} changed")
            if isinstance(value, Decision):
                self._check_decision(value)
            elif isinstance(value, Announcement):
                self._check_announcement(value)
            elif isinstance(value, Candidate):
                self._check_candidate(value)
            elif isinstance(value, Record):
                self.codes.update(refusal.code for refusal in value.refused)
                _check_refusals(value)
                self._check_votes(value)
            elif isinstance(value, Closed):
                self.closed_at = self.world.now

    def finish(self) -> None:
        """Check the whole run once it is over."""
        if self.head is None:
            return
        records = self._records(self.head)
        self._check_chain(self.head, records)
        self._check_model(self.head, records)

    def _check_head(self, head: object, issued: float) -> None:
        assert isinstance(head, Head)
        before = self.head
        self.head = head
        if before is None or head == before:
            return
        if head.epoch < before.epoch or head.round < before.round:
            raise Broken("head-is-monotone", f"{_place(before)} became {_place(head)}")
        if head.epoch == before.epoch and head.owner != before.owner:
            raise Broken("one-coordinator-an-epoch", f"{before.owner} and {head.owner}: {_place(head)}")
        if head.round > before.round and self.closed_at is not None:
            closed = self.world.store.get(closed_key(RUN))
            late = issued > self.closed_at + STOP_SECONDS
            if late and closed is not None and closed.value.status == "cancelled":
                raise Broken("cancelling-keeps-head", f"moved {issued - self.closed_at:.1f} s later")
        if head.round > before.round:
            self._check_link(before, head)

    def _check_link(self, before: Head, head: Head) -> None:
        """HEAD moved by one round, to a record that stands and follows the one before."""
        record = self._at(head.round, "record")
        if record is None or head.round != before.round + 1:
            raise Broken("chain-is-valid", f"{_place(before)} became {_place(head)} without its record")
        if record.previous_sha256 != before.record_sha256:
            raise Broken("chain-is-valid", f"round {head.round} does not follow the one before")
        if head.record_sha256 != sha256_hex(canonical_json(record)):
            raise Broken("chain-is-valid", f"HEAD names another record of round {head.round}")
        if head.model_sha256 != self._model_after(record, before.model_sha256):
            raise Broken("model-follows-decisions", f"HEAD of round {head.round} has another model")

    def _check_chain(self, head: Head, records: list[Record]) -> None:
        try:
            check_chain(head, records)
        except IntegrityError as error:
            raise Broken("chain-is-valid", str(error)) from None
        for record in records:
            decision = self._at(record.round, "decision")
            if decision is None or sha256_hex(canonical_json(decision)) != record.decision_sha256:
                raise Broken("chain-is-valid", f"round {record.round} names another decision")

    def _check_model(self, head: Head, records: list[Record]) -> None:
        """Repeat the run from its decisions and verdicts alone."""
        model = self.world.scenario.plan.base_model_sha256
        for record in records:
            model = self._model_after(record, model)
            if record.model_sha256 != model:
                raise Broken("model-follows-decisions", f"round {record.round} has another model")
        if head.model_sha256 != model:
            raise Broken("model-follows-decisions", f"HEAD of round {head.round} has another model")

    def _model_after(self, record: Record, model: str) -> str:
        """The good model after a round, computed from its decision and its outcome alone."""
        decision = self._at(record.round, "decision")
        if decision is None or decision.base_sha256 != model:
            raise Broken("model-follows-decisions", f"round {record.round} starts from another model")
        return model_of(decision) if record.outcome == "passed" else model

    def _check_announcement(self, announcement: Announcement) -> None:
        recipe = self.world.scenario.plan.recipe
        if len(announcement.cohort) < min(recipe.min_available_parties, len(recipe.parties)):
            raise Broken("enough-are-asked", f"round {announcement.round} asks {announcement.cohort}")
        before = self._at(announcement.round - 1, "record")
        dropped = before.dropped if before else None
        if dropped in announcement.cohort and len(announcement.cohort) > recipe.min_available_parties:
            raise Broken("dropped-are-left-out", f"round {announcement.round} asks {announcement.cohort}")

    def _check_decision(self, decision: Decision) -> None:
        parties = [update.party for update in decision.accepted]
        if len(set(parties)) != len(parties):
            raise Broken("counts-once", f"round {decision.round} counts {parties}")
        total = math.fsum(update.weight for update in decision.accepted)
        if decision.accepted and abs(total - 1.0) > 1e-9:
            raise Broken("weights-sum-to-one", f"round {decision.round} has weights of {total}")
        for update in decision.accepted:
            number = update.round or decision.round
            if self.counted.setdefault((number, update.party), decision.round) != decision.round:
                raise Broken("counts-once", f"round {number} of {update.party} counts in two decisions")
            asked = self._at(number, "announcement")
            if asked is None or update.party not in asked.cohort:
                raise Broken("was-asked", f"{update.party} was not asked in round {number}")
            if update.receipt_sha256 not in self.world.honest:
                raise Broken("verified-only", f"round {decision.round} counts a bad one of {update.party}")
            receipt = self.world.receipts[update.receipt_sha256]
            if (receipt.party, receipt.round) != (update.party, number):
                raise Broken("verified-only", f"{update.party} is counted for another's or round's receipt")
            if receipt.base_sha256 != asked.model_sha256:
                raise Broken("verified-only", f"{update.party} started from another base")
        self.codes.update(refusal.code for refusal in decision.refused)
        self._check_everybody(decision)
        _check_refusals(decision)

    def _check_candidate(self, candidate: Candidate) -> None:
        """A candidate is the sum of the very bytes that were admitted, whatever arrived in between."""
        decision = self._at(candidate.round, "decision")
        if decision is None or candidate.model_sha256 != model_of(decision):
            raise Broken("damage-stays-out", f"round {candidate.round} has other bytes in its sum")

    def _check_votes(self, record: Record) -> None:
        """A score that stands beside a party's name is one that it signed, for that candidate."""
        for party, row in record.parties.items():
            if row.metrics is None:
                continue
            signed = self.world.votes.get((party, record.round, record.candidate_sha256 or ""))
            if row.metrics != signed:
                raise Broken("votes-are-signed", f"round {record.round} has scores that {party} did not sign")
            self.votes += 1

    def _check_everybody(self, decision: Decision) -> None:
        asked = self._at(decision.round, "announcement")
        fresh = {update.party for update in decision.accepted if update.round is None}
        fresh |= {refusal.party for refusal in decision.refused if refusal.round is None}
        if asked is not None and not set(asked.cohort) <= fresh:
            raise Broken("nobody-vanishes", f"round {decision.round}: {set(asked.cohort) - fresh}")

    def _records(self, head: Head) -> list[Record]:
        found = [self._at(number, "record") for number in range(1, head.round + 1)]
        if None in found:
            raise Broken("chain-is-valid", f"HEAD is at round {head.round}, and a record is missing")
        return found  # type: ignore[return-value]

    def check_stop(self, name: str, error: FedcartError) -> None:
        """Who stops for damage at rest names an object that is damaged."""
        named = NAMED.search(error.sentence)
        standing = self.world.store.get(named[1]) if named else None
        if standing is None or standing.intact:
            raise Broken("damage-is-named", f"{name} stopped: {error}")

    def _at(self, number: int, message: str):
        """The message as it was written, whatever became of it in the store."""
        return self.first.get(round_key(RUN, number, message))


def _check_refusals(message: Decision | Record) -> None:
    for refusal in message.refused:
        if not CODE.fullmatch(refusal.code) or not refusal.reason:
            raise Broken("refusals-have-codes", f"round {message.round}: {refusal}")


def _place(head: Head) -> str:
    return f"epoch {head.epoch}, round {head.round}"
