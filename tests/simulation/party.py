"""Parties of the simulation: one session each, with the habits of honest, slow and hostile ones."""

from typing import TYPE_CHECKING

from fedmodels.errors import PolicyForbids
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    DataReport,
    Evaluation,
    Head,
    Receipt,
    Signed,
)
from infra.layout import closed_key, evaluation_key, head_key, receipt_key, round_key, update_key
from tests.simulation import scenario
from tests.simulation.client import ask, create, exists, put, read, read_from_party
from tests.simulation.requests import Crash, Delete, Put, Sleep, Story, Watch
from tests.simulation.scenario import RUN

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

LIES = ("signature", "candidate", "copied", "implausible", "garbage")
"""What is wrong with the scores of a party that lies."""
POISONS = ("signature", "base", "run", "plan", "hash", "nan", "missing", "garbage", "examples")
PATIENCE = 400.0
REPORT = DataReport(rows=120, train_rows=100, holdout_rows=20, contract_passed=True)


class Party:
    """One session of one party."""

    def __init__(self, world: "Simulation", name: str) -> None:
        self.world, self.name = world, name
        self.habit = world.scenario.habits[name]
        self.public = world.scenario.plan.parties[name]

    def tell(self) -> Story:
        """Answer announcements until the run is closed, or for too long there is none.

        Raises:
            PolicyForbids: the party declines this time.
        """
        if self.habit == "declining" and self.world.random.random() < 0.5:
            raise PolicyForbids("The policy of this party forbids the run", fix="change the recipe")
        head: Head | None = yield from read(head_key(RUN))
        done = head.round if head else 0
        while (announcement := (yield from self._next(done))) is not None:
            if self.name in announcement.cohort or self.habit == "pushing":
                yield from self._take_part(announcement)
            head = yield from read(head_key(RUN))
            done = max(announcement.round, head.round if head else 0)

    def _next(self, done: int) -> Story:
        key, waited = round_key(RUN, done + 1, "announcement"), 0.0
        while waited < PATIENCE:
            found: Announcement | None = yield from read(key)
            if found is not None:
                return found
            if (yield from read(closed_key(RUN))) is not None:
                return None
            head: Head | None = yield from read(head_key(RUN))
            if head is not None and head.round > done:
                done, key = head.round, round_key(RUN, head.round + 1, "announcement")
                continue
            yield Watch((key, closed_key(RUN), head_key(RUN)), 40.0)
            waited += 40.0
        return None

    def _take_part(self, announcement: Announcement) -> Story:
        key = receipt_key(self.name, RUN, announcement.round)
        if not (yield from exists(key)):
            draw = self.world.random
            if self.habit == "silent":
                return
            if self.habit == "dying" and draw.random() < 0.85:
                yield Crash()
            slow = self.habit == "slow"
            yield Sleep(draw.uniform(10, 60) if slow else draw.uniform(0.5, 8))
            if (yield from read(closed_key(RUN))) is not None:
                return
            yield from self._submit(announcement, key)
        yield from self._evaluate(announcement)

    def _submit(self, announcement: Announcement, key: str) -> Story:
        nonce = self.world.random.random()
        content = f"update {self.name} {announcement.round} {nonce}".encode()
        receipt = self._receipt(announcement, content)
        poison = self.world.random.choice(POISONS) if self.habit == "poisoned" else None
        if poison == "nan":
            content = b"poison" + content
            receipt = self._receipt(announcement, content)
        if poison != "missing":
            yield from put(update_key(self.name, sha256_hex(content)), b"x" if poison == "hash" else content)
        envelope = self._envelope(receipt, poison)
        if poison is None:
            self.world.honest.add(sha256_hex(envelope))
        if self.habit == "replaying" and announcement.round > 1:
            earlier = yield from read_from_party(receipt_key(self.name, RUN, announcement.round - 1))
            envelope = earlier or envelope
        yield from create(key, envelope)
        if self.habit == "rewriting" and self.world.random.random() < 0.5:
            yield Sleep(self.world.random.uniform(0, 20))
            yield from self._take_back(announcement, key, content)

    def _take_back(self, announcement: Announcement, key: str, content: bytes) -> Story:
        """Delete what was submitted, and perhaps submit something else in its place."""
        if self.world.random.random() < 0.5:
            yield from ask(Delete(update_key(self.name, sha256_hex(content))))
            return
        other = content + b" again"
        yield from put(update_key(self.name, sha256_hex(other)), other)
        envelope = self._envelope(self._receipt(announcement, other))
        self.world.honest.add(sha256_hex(envelope))
        yield from ask(Delete(key))
        yield from ask(Put(key, envelope))

    def _receipt(self, announcement: Announcement, content: bytes) -> Receipt:
        refuses = self.habit == "refusing" and announcement.round % 2 == 1
        return Receipt(
            run=RUN,
            round=announcement.round,
            party=self.name,
            plan_sha256=self.world.scenario.plan_sha256,
            base_sha256=announcement.model_sha256,
            update_sha256=None if refuses else sha256_hex(content),
            update_bytes=8,
            update_norm=1.0,
            num_examples=10 * (1 + ord(self.name) - ord("a")),
            data=REPORT,
            refusal="table-empty" if refuses else None,
            reason="It has no rows." if refuses else "",
        )

    def _envelope(self, receipt: Receipt, poison: str | None = None) -> bytes:
        changes: dict[str, object] = {}
        if poison == "base":
            changes["base_sha256"] = "f" * 64
        if poison == "run":
            changes["run"] = "other"
        if poison == "plan":
            changes["plan_sha256"] = "f" * 64
        if poison == "examples":
            changes["num_examples"] = 10**6
        receipt = receipt.model_copy(update=changes)
        payload = canonical_json(receipt)
        signature = scenario.sign("stranger" if poison == "signature" else self.public, payload)
        envelope = canonical_json(Signed(payload=payload.decode(), signature=signature))
        if poison == "garbage":
            envelope = envelope[:-5]
        self.world.opened[envelope] = receipt
        return envelope

    def _evaluate(self, announcement: Announcement) -> Story:
        keys = tuple(round_key(RUN, announcement.round, kind) for kind in ("candidate", "record"))
        for _ in range(4):
            candidate = yield from read(keys[0])
            if candidate is not None or (yield from read(keys[1])) is not None:
                break
            if (yield from read(closed_key(RUN))) is not None:
                return
            yield Watch((*keys, closed_key(RUN)), 20.0)
        if candidate is None or not candidate.evaluate:
            return
        yield Sleep(self.world.random.uniform(0.1, 2.0))
        lie = self.world.random.choice(LIES) if self.habit == "lying" else None
        envelope = self._scores(candidate, lie)
        if lie == "copied":
            others = [name for name in self.world.scenario.habits if name != self.name]
            key = evaluation_key(self.world.random.choice(others), RUN, candidate.round)
            envelope = (yield from read_from_party(key)) or envelope
        yield from create(evaluation_key(self.name, RUN, candidate.round), envelope)

    def _scores(self, candidate: Candidate, lie: str | None) -> bytes:
        """Signed scores of the candidate; a liar's are perfect."""
        metrics = candidate.metrics
        if lie is None:
            self.world.votes[self.name, candidate.round, candidate.model_sha256] = metrics
        else:
            metrics = metrics.model_copy(update={"accuracy": 1.0, "macro_f1": 1.0, "loss": 0.0})
        evaluation = Evaluation(
            run=RUN,
            round=candidate.round,
            party="nobody" if lie == "copied" else self.name,
            model_sha256="f" * 64 if lie == "candidate" else candidate.model_sha256,
            metrics=metrics,
            bytes_down=2**60 if lie == "implausible" else 0,
        )
        payload = canonical_json(evaluation)
        signature = scenario.sign("stranger" if lie == "signature" else self.public, payload)
        envelope = canonical_json(Signed(payload=payload.decode(), signature=signature))
        return envelope[:-5] if lie == "garbage" else envelope
