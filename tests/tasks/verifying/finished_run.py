"""A finished run of five rounds in the real store: real messages, keys and averages; weights of 80 numbers.

Round 1 passes. Round 2 passes with fine-tuning kept, while shop-c sits out. The gate refuses round 3. Round
4 misses its quorum: shop-b is late, shop-c sits out. Round 5 passes with what shop-b submitted to round 4.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedmodels.aggregation.fedavg import Source, WeightedDelta, fedavg, fedavg_weights
from fedmodels.parameters.elements import from_float32, to_float32
from fedmodels.parameters.safetensors_file import encode_header, num_elements, with_dtype
from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import (
    AcceptedUpdate,
    Announcement,
    Candidate,
    ChampionScore,
    Closed,
    DataReport,
    Decision,
    Evaluation,
    FineTuningResult,
    GateResult,
    Metrics,
    PartyRow,
    Plan,
    Receipt,
    Record,
    Refusal,
    RoundBytes,
    RoundSeconds,
    StandingChampion,
    TensorSpec,
)
from fedmodels.protocol.progress import follow, last_passed, opening_head
from fedmodels.protocol.salvage import discounted
from fedmodels.recipe import Recipe
from infra.keys import load_private_key, public_key
from infra.layout import (
    architecture_key,
    closed_key,
    evaluation_key,
    head_key,
    model_key,
    plan_key,
    receipt_key,
    round_key,
    update_key,
)
from infra.object_store import ObjectStore
from infra.settings import load_role_settings
from tasks.exchange import create_message, create_signed
from tests.store_alone import store_of
from validation.gates import round_gate

PARTIES = ("shop-a", "shop-b", "shop-c")
EXAMPLES = {"shop-a": 30, "shop-b": 50, "shop-c": 20}
SCHEMA = (
    TensorSpec(name="bias", dtype="F32", shape=(3,)),
    TensorSpec(name="weight", dtype="F32", shape=(7, 11)),
)
REFUSED = DataReport(
    rows=60,
    train_rows=50,
    holdout_rows=10,
    cleaned={"exact_duplicates": 3, "markup_removed": 2},
    contract_passed=False,
    failed_expectations=("critical:expect_column_values_to_be_in_set:label",),
)
"""Of a party that sits out."""
ARCHITECTURE = b"PK architecture and tokenizer"


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "num_rounds": 3,
            "salvage": {"exponent": 0.5},
            "data": {
                "parties": {party: {"train": "own"} for party in PARTIES},
                "coordinator": {"table": "own"},
            },
            **changes,
        }
    )


def model_bytes(seed: int, scale: float, dtype: str = "F32") -> bytes:
    values = np.random.default_rng(seed).normal(0, scale, num_elements(SCHEMA)).astype(np.float32)
    return encode_header(with_dtype(SCHEMA, dtype)) + from_float32(values, dtype)


def norm_of(update: bytes) -> float:
    """L2 norm of a BF16 update: its last bytes are the elements."""
    count = num_elements(SCHEMA)
    return float(np.linalg.norm(to_float32(update[-2 * count :], "BF16", np.empty(count, np.float32))))


def scores(accuracy: float) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy - 0.015, loss=1.25 - accuracy, num_examples=200)


@dataclass
class FinishedRun:
    """Plays the coordinator and the parties of one run against the store, each with its own credentials."""

    home: Path
    run: str
    seed: int = 0
    changes: dict[str, Any] = field(default_factory=dict)
    """What differs in the recipe."""
    records: list[Record] = field(default_factory=list)
    updates: dict[tuple[str, int], AcceptedUpdate] = field(default_factory=dict)
    champion: StandingChampion | None = None
    """What the parties score beside each candidate."""
    champion_accuracy: float | None = None
    """What it gets at each; `None`: they cannot score it."""

    def __post_init__(self) -> None:
        self.store = store_of(self.home, "coordinator")
        self.stores: dict[str, ObjectStore] = {party: store_of(self.home, party) for party in PARTIES}
        self.keys = {
            party: load_private_key(load_role_settings(self.home, party).signing_key) for party in PARTIES
        }
        base = model_bytes(1000 + self.seed, 0.1)
        architecture = sha256_hex(ARCHITECTURE)
        self.put_model(base)
        self.store.put_blob(architecture_key(architecture), ARCHITECTURE)
        self.plan = Plan(
            run=self.run,
            recipe=recipe(**self.changes),
            parties={party: public_key(key) for party, key in self.keys.items()},
            labels=("bad", "good"),
            parameters=SCHEMA,
            architecture_sha256=architecture,
            base_model_sha256=sha256_hex(base),
            fedcart_version="0.1.0",
        )
        create_message(self.store, plan_key(self.run), self.plan)
        self.head = opening_head(self.run, self.plan.base_model_sha256)
        self.store.create(head_key(self.run), canonical_json(self.head))

    def put_model(self, data: bytes) -> str:
        self.store.put_blob(model_key(sha256_hex(data)), data)
        return sha256_hex(data)

    def announce(self, number: int, cohort: tuple[str, ...] = PARTIES) -> Announcement:
        message = Announcement(
            run=self.run,
            round=number,
            passed_rounds=self.head.passed_rounds,
            model_sha256=self.head.model_sha256,
            cohort=cohort,
            round_timeout=self.plan.recipe.round_timeout,
        )
        return create_message(self.store, round_key(self.run, number, "announcement"), message)

    def submit(self, party: str, number: int, refusal: str | None = None, *, true_norm: bool = False) -> None:
        update = model_bytes(10_000 * self.seed + 100 * number + PARTIES.index(party), 0.01, "BF16")
        digest, sent = sha256_hex(update), self.stores[party]
        if refusal is None:
            sent.put_blob(update_key(party, digest), update)
        receipt = Receipt(
            run=self.run,
            round=number,
            party=party,
            plan_sha256=sha256_hex(canonical_json(self.plan)),
            base_sha256=self.head.model_sha256,
            update_sha256=None if refusal else digest,
            update_bytes=0 if refusal else len(update),
            update_norm=0.0 if refusal else norm_of(update) if true_norm else 0.09,
            num_examples=0 if refusal else EXAMPLES[party],
            data=REFUSED
            if refusal
            else DataReport(rows=60, train_rows=50, holdout_rows=10, contract_passed=True),
            metrics={"train_loss": 0.6931},
            seconds={"train": 1.5, "submit": 0.125},
            compute=((2.0, 0.5),),
            refusal=refusal,
            reason=f"The data of {party} break their contract." if refusal else "",
        )
        key = receipt_key(party, self.run, number)
        create_signed(sent, key, receipt, self.keys[party])
        if refusal is None:
            self.updates[party, number] = AcceptedUpdate(
                party=party,
                receipt_sha256=sha256_hex(self.stores[party].read(key) or b""),
                update_sha256=digest,
                num_examples=EXAMPLES[party],
                weight=0.0,
            )

    def decide(
        self, number: int, accepted: dict[str, int], refused: dict[str, str], discount: float = 1.0
    ) -> Decision:
        """`discount`: of what counts from an earlier round."""
        discounts = {party: 1.0 if own == number else discount for party, own in accepted.items()}
        shares = fedavg_weights({party: EXAMPLES[party] for party in accepted}, "examples")
        weights = discounted(shares, discounts)
        updates = [
            self.updates[party, own].model_copy(
                update={
                    "weight": weights[party],
                    "round": None if own == number else own,
                    "discount": discounts[party],
                }
            )
            for party, own in sorted(accepted.items())
        ]
        decision = Decision(
            run=self.run,
            round=number,
            base_sha256=self.head.model_sha256,
            accepted=tuple(updates),
            refused=tuple(
                Refusal(party=p, code=code, reason=f"{p} {code}.") for p, code in sorted(refused.items())
            ),
        )
        return create_message(self.store, round_key(self.run, number, "decision"), decision)

    def average(self, decision: Decision) -> bytes:
        def source(store: ObjectStore, key: str, sha256: str) -> Source:
            return Source(key, store.client.get_object(Bucket=store.bucket, Key=key)["Body"], sha256)

        base = source(self.store, model_key(decision.base_sha256), decision.base_sha256)
        deltas = [
            WeightedDelta(source(self.store, update_key(u.party, u.update_sha256), u.update_sha256), u.weight)
            for u in decision.accepted
        ]
        path = self.home / "average.safetensors"
        fedavg(SCHEMA, base, deltas, "BF16", path)
        return path.read_bytes()

    def propose_anything(self, decision: Decision) -> Candidate:
        """A candidate that is not made of the decision's updates, which may be gone."""
        return self.propose(decision, 0.7, tuned=False, aggregate=model_bytes(77, 0.1))

    def propose(
        self, decision: Decision, accuracy: float, *, tuned: bool, aggregate: bytes = b""
    ) -> Candidate:
        aggregate = aggregate or self.average(decision)
        model = model_bytes(500 + self.seed + decision.round, 0.1) if tuned else aggregate
        before, after = scores(accuracy - 0.01), scores(accuracy if tuned else accuracy - 0.02)
        candidate = Candidate(
            run=self.run,
            round=decision.round,
            model_sha256=self.put_model(model),
            evaluate=True,
            evaluation_timeout=self.plan.recipe.evaluation_timeout,
            metrics=after if tuned else before,
            fine_tuning=FineTuningResult(kept=tuned, before=before, after=after),
            aggregate_sha256=hashlib.sha256(aggregate).hexdigest(),
            champion=self.champion,
        )
        return create_message(self.store, round_key(self.run, decision.round, "candidate"), candidate)

    def evaluate(self, candidate: Candidate, party: str, accuracy: float | None) -> Evaluation:
        evaluation = Evaluation(
            run=self.run,
            round=candidate.round,
            party=party,
            model_sha256=candidate.model_sha256,
            metrics=None if accuracy is None else scores(accuracy),
            reason="no holdout rows" if accuracy is None else "",
            champion=self.score_champion() if accuracy is not None else None,
            bytes_down=400,
        )
        key = evaluation_key(party, self.run, candidate.round)
        create_signed(self.stores[party], key, evaluation, self.keys[party])
        return evaluation

    def score_champion(self) -> ChampionScore | None:
        if self.champion is None:
            return None
        if self.champion_accuracy is None:
            reason = "model-missing: The model is gone."
            return ChampionScore(model_sha256=self.champion.model_sha256, metrics=None, reason=reason)
        metrics = scores(self.champion_accuracy)
        return ChampionScore(model_sha256=self.champion.model_sha256, metrics=metrics)

    def play(
        self,
        number: int,
        accepted: dict[str, int],
        refused: dict[str, str] | None = None,
        *,
        accuracy: float | None = None,
        tuned: bool = False,
        abstains: str = "",
        cohort: tuple[str, ...] = PARTIES,
        late: tuple[str, ...] = (),
        discount: float = 1.0,
        dropped: str | None = None,
    ) -> None:
        """One round: who counts (party to the round of its receipt), who does not, and the scores.

        `late` are those whose update comes after the decision, with `refused` saying that they are late.
        """
        announcement = self.announce(number, cohort)
        for party in announcement.cohort:
            code = (refused or {}).get(party)
            if code != "late" or party in late:
                self.submit(party, number, refusal=None if code == "late" else code)
        decision = self.decide(number, accepted, refused or {}, discount)
        candidate = None if accuracy is None else self.propose(decision, accuracy, tuned=tuned)
        evaluations = {
            party: self.evaluate(candidate, party, None if party == abstains else accuracy)
            for party in (announcement.cohort if candidate else ())
        }
        self.close_round(decision, candidate, evaluations, dropped=dropped)

    def close_round(
        self,
        decision: Decision,
        candidate: Candidate | None,
        evaluations: dict[str, Evaluation],
        taken_back: str = "",
        dropped: str | None = None,
    ) -> None:
        counted = {update.party: update for update in decision.accepted if update.party != taken_back}
        reason = f"The update of {taken_back} is gone."
        changed = [Refusal(party=taken_back, code="changed-since", reason=reason)] if taken_back else []
        rows = {
            party: PartyRow(
                num_examples=EXAMPLES[party] if party in counted else 0,
                update_norm=0.09 if party in counted else None,
                metrics=evaluations[party].metrics if party in evaluations else None,
                champion=score.metrics
                if party in evaluations and (score := evaluations[party].champion)
                else None,
                seconds=1.625 if party in counted else 0.0,
                bytes_up=len(model_bytes(0, 0.01, "BF16")) if party in counted else 0,
                bytes_down=400 if party in evaluations else 0,
            )
            for party in PARTIES
        }
        gate = self.judge(candidate, rows, counted)
        passed = gate.passed and candidate is not None
        record = Record(
            run=self.run,
            round=decision.round,
            previous_sha256=self.head.record_sha256,
            outcome="passed" if passed else "gate-refused" if candidate or changed else "quorum-missed",
            decision_sha256=sha256_hex(canonical_json(decision)),
            model_sha256=candidate.model_sha256 if passed and candidate else self.head.model_sha256,
            candidate_sha256=candidate.model_sha256 if candidate else None,
            accepted=tuple(update.party for update in decision.accepted),
            refused=(*decision.refused, *changed),
            metrics=candidate.metrics if candidate else None,
            holdout=scores(0.71) if candidate else None,
            parties=rows,
            fine_tuning=candidate.fine_tuning if candidate else None,
            gate=gate,
            dropped=dropped,
            seconds=RoundSeconds(total=4.5, train=3.25, overhead=1.25),
            bytes=RoundBytes(
                up=sum(row.bytes_up for row in rows.values()),
                down=sum(row.bytes_down for row in rows.values()),
            ),
        )
        create_message(self.store, round_key(self.run, decision.round, "record"), record)
        self.head = follow(self.head, record, self.records, self.plan.recipe)
        self.records.append(record)
        _, version = self.store.read_version(head_key(self.run)) or (b"", "")
        assert self.store.swap(head_key(self.run), canonical_json(self.head), version)

    def judge(
        self, candidate: Candidate | None, rows: dict[str, PartyRow], counted: dict[str, AcceptedUpdate]
    ) -> GateResult:
        if candidate is None:
            return GateResult(passed=False, reasons=("1 update was accepted, 2 are required.",))
        good = last_passed(self.records)
        compared = {
            party: (good.parties[party].metrics if good else None, row.metrics) for party, row in rows.items()
        }
        return round_gate(
            self.plan.recipe.gate,
            self.plan.recipe.key_metric,
            good.metrics if good else None,
            candidate.metrics,
            compared,
            dict.fromkeys(counted, 0.09),
        )

    def close(self) -> None:
        best = next(record for record in self.records if record.round == self.head.best_round)
        closed = Closed(
            run=self.run,
            status="finished",
            reason=f"{self.head.passed_rounds} of 3 rounds passed",
            model_sha256=self.head.best_model_sha256,
            rounds=self.head.round,
            final=best.holdout,
            seconds=22.5,
        )
        create_message(self.store, closed_key(self.run), closed)


def finished_run(home: Path, run: str, seed: int = 0) -> FinishedRun:
    """Play the five rounds of the module's docstring."""
    made = FinishedRun(home, run, seed)
    everyone = dict.fromkeys(PARTIES, 1)
    made.play(1, everyone, accuracy=0.70)
    made.play(2, {"shop-a": 2, "shop-b": 2}, {"shop-c": "data-refused"}, accuracy=0.75, tuned=True)
    made.play(3, dict.fromkeys(PARTIES, 3), accuracy=0.52)
    made.play(4, {"shop-a": 4}, {"shop-b": "late", "shop-c": "data-refused"}, late=("shop-b",))
    made.play(
        5,
        {"shop-a": 5, "shop-b": 4, "shop-c": 5},
        {"shop-b": "late"},
        accuracy=0.80,
        abstains="shop-c",
    )
    made.close()
    return made
