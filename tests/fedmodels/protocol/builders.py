"""Messages of a small run, each with as little as it needs."""

from fedmodels.protocol.deciding import Collected
from fedmodels.protocol.messages import (
    Announcement,
    Candidate,
    DataReport,
    GateResult,
    Metrics,
    Plan,
    Receipt,
    Record,
    Refusal,
    RoundBytes,
    RoundSeconds,
    TensorSpec,
)
from fedmodels.protocol.progress import opening_head
from fedmodels.protocol.state import RunState
from fedmodels.recipe import Recipe

BASE = "0" * 64
SECONDS = RoundSeconds(total=1, train=1, overhead=0)


def recipe_for(parties: str = "ab", **changes) -> Recipe:
    data = {"parties": {name: {"train": "t.csv"} for name in parties}, "coordinator": {"table": "c.csv"}}
    return Recipe.model_validate({"name": "tiny", "data": data, **changes})


def plan_for(recipe: Recipe) -> Plan:
    return Plan(
        run="r",
        recipe=recipe,
        parties=dict.fromkeys(recipe.parties, "key"),
        labels=("0", "1"),
        parameters=(TensorSpec(name="w", dtype="F32", shape=(1,)),),
        architecture_sha256=BASE,
        base_model_sha256=BASE,
        fedcart_version="0",
    )


def state_for(recipe: Recipe, **changes) -> RunState:
    return RunState(plan=plan_for(recipe), head=opening_head("r", BASE), **changes)


def scores(accuracy: float = 0.7) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy, loss=0.5, num_examples=100)


def announcement(number: int = 1, cohort: str = "ab", model: str = BASE) -> Announcement:
    return Announcement(
        run="r",
        round=number,
        passed_rounds=0,
        model_sha256=model,
        cohort=tuple(cohort),
        round_timeout=60,
    )


def candidate(number: int = 1, *, evaluate: bool = True) -> Candidate:
    return Candidate(
        run="r",
        round=number,
        model_sha256=f"{number:064x}",
        evaluate=evaluate,
        evaluation_timeout=10,
        metrics=scores(),
        fine_tuning=None,
    )


def answer(party: str, number: int = 1, examples: int = 100, *, late: bool = False) -> Collected:
    """An admitted update to round `number`; `late`: found in the round after it."""
    receipt = Receipt(
        run="r",
        round=number,
        party=party,
        base_sha256=BASE,
        update_sha256=f"{number:032x}{ord(party):032x}",
        update_norm=1.0,
        num_examples=examples,
        data=DataReport(rows=examples, train_rows=examples, holdout_rows=0, contract_passed=True),
    )
    return Collected(
        party=party,
        receipt=receipt,
        receipt_sha256=f"{number:016x}{ord(party):048x}",
        round=number if late else None,
    )


def refused(party: str, code: str = "late", number: int | None = None) -> Collected:
    refusal = Refusal(party=party, code=code, reason=f"{party} was {code}", round=number)
    return Collected(party=party, refusal=refusal, round=number)


def record(
    number: int,
    accepted: str = "ab",
    refusals: dict[str, str] | None = None,
    outcome: str = "passed",
    previous: str | None = None,
    model: str | None = None,
) -> Record:
    """`refusals`: party to its code."""
    passed = outcome == "passed"
    return Record(
        run="r",
        round=number,
        previous_sha256=previous,
        outcome=outcome,
        decision_sha256=BASE,
        model_sha256=model or (f"{number:064x}" if passed else BASE),
        candidate_sha256=f"{number:064x}" if outcome != "quorum-missed" else None,
        accepted=tuple(accepted),
        refused=tuple(
            Refusal(party=party, code=code, reason="said so") for party, code in (refusals or {}).items()
        ),
        metrics=scores() if outcome != "quorum-missed" else None,
        holdout=None,
        parties={},
        fine_tuning=None,
        gate=GateResult(passed=passed, reasons=("said so: refused.",)),
        seconds=SECONDS,
        bytes=RoundBytes(up=0, down=0),
    )
