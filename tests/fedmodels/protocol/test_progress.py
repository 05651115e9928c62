"""HEAD moves with every record, its model only through the gate; the best model is kept."""

import pytest

from fedmodels.protocol.canonical import canonical_json, sha256_hex
from fedmodels.protocol.messages import GateResult, Metrics, Record, RoundBytes, RoundSeconds
from fedmodels.protocol.progress import follow, improves, last_passed, opening_head, why_finished
from fedmodels.recipe import Recipe

BASE = "0" * 64


def recipe(**changes) -> Recipe:
    parties = {name: {"train": "t.csv"} for name in ("a", "b")}
    data = {"parties": parties, "coordinator": {"table": "c.csv"}}
    return Recipe.model_validate({"name": "tiny", "data": data, **changes})


def scores(accuracy: float, loss: float = 0.5) -> Metrics:
    return Metrics(accuracy=accuracy, macro_f1=accuracy, loss=loss, num_examples=100)


def record(number: int, accuracy: float, *, passed: bool = True, good: str = BASE) -> Record:
    model = f"{number:064x}"
    return Record(
        run="r",
        round=number,
        previous_sha256=None,
        outcome="passed" if passed else "gate-refused",
        decision_sha256=BASE,
        model_sha256=model if passed else good,
        candidate_sha256=model,
        accepted=("a", "b"),
        refused=(),
        metrics=scores(accuracy),
        holdout=scores(accuracy),
        parties={},
        fine_tuning=None,
        gate=GateResult(passed=passed, reasons=("said so",)),
        seconds=RoundSeconds(total=1, train=1, overhead=0),
        bytes=RoundBytes(up=0, down=0),
    )


def play(records: list[Record], agreed: Recipe):
    head = opening_head("r", BASE)
    for index, item in enumerate(records):
        head = follow(head, item, records[:index], agreed)
    return head


def test_a_passed_round_moves_model_and_best():
    head = play([record(1, 0.7)], recipe())
    assert (head.round, head.passed_rounds, head.failed_rounds) == (1, 1, 0)
    assert head.model_sha256 == head.best_model_sha256 == f"{1:064x}"
    assert head.record_sha256 == sha256_hex(canonical_json(record(1, 0.7)))


def test_a_refused_round_moves_the_round_alone():
    head = play([record(1, 0.7), record(2, 0.2, passed=False, good=f"{1:064x}")], recipe())
    assert (head.round, head.passed_rounds, head.failed_rounds) == (2, 1, 1)
    assert head.model_sha256 == f"{1:064x}"
    assert head.best_round == 1


def test_the_best_model_is_kept_though_a_worse_one_passes():
    head = play([record(1, 0.8), record(2, 0.79)], recipe())
    assert head.model_sha256 == f"{2:064x}"
    assert head.best_model_sha256 == f"{1:064x}"


def test_num_rounds_counts_passed_rounds_only():
    agreed = recipe(num_rounds=2)
    records = [record(1, 0.7), record(2, 0.1, passed=False)]
    assert why_finished(play(records, agreed), records, agreed) is None
    records.append(record(3, 0.8))
    assert why_finished(play(records, agreed), records, agreed) == "2 of 2 rounds passed"


def test_patience_ends_a_run_that_no_longer_gets_better():
    agreed = recipe(num_rounds=10, early_stopping={"patience": 2})
    records = [record(1, 0.8), record(2, 0.8)]
    assert why_finished(play(records, agreed), records, agreed) is None
    records.append(record(3, 0.79))
    assert "patience 2" in str(why_finished(play(records, agreed), records, agreed))


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_best_model_is_kept_however_little_it_gained(metric):
    stopping = {"patience": 2, "min_delta": 0.01}
    agreed = recipe(num_rounds=10, key_metric=metric, early_stopping=stopping)
    gained = [record(number, accuracy) for number, accuracy in enumerate((0.8, 0.808, 0.809), start=1)]
    losses = [item.model_copy(update={"metrics": scores(0.5, 1 - item.metrics.accuracy)}) for item in gained]
    records = gained if metric == "accuracy" else losses
    head = play(records, agreed)
    assert (head.best_round, head.best_model_sha256) == (3, f"{3:064x}")
    assert (
        why_finished(head, records, agreed)
        == f"no better {metric} by more than 0.01 in 2 rounds (patience 2)"
    )
    assert why_finished(play(records[:2], agreed), records[:2], agreed) is None


def test_gains_that_are_each_too_small_end_the_wait_together():
    agreed = recipe(num_rounds=10, early_stopping={"patience": 2, "min_delta": 0.01})
    records = [record(1, 0.8), record(2, 0.808), record(3, 0.816), record(4, 0.82)]
    assert why_finished(play(records, agreed), records, agreed) is None
    refused = [*records, record(5, 0.1, passed=False, good=f"{4:064x}")]
    assert why_finished(play(refused, agreed), refused, agreed) is None
    over = [*records, record(5, 0.824)]
    assert "in 2 rounds" in str(why_finished(play(over, agreed), over, agreed))


def test_last_passed_skips_refused_rounds():
    records = [record(1, 0.7), record(2, 0.1, passed=False)]
    assert last_passed(records) == records[0]
    assert last_passed([]) is None


@pytest.mark.parametrize(
    ("metric", "candidate", "standing", "better"),
    [
        ("accuracy", scores(0.8), scores(0.7), True),
        ("accuracy", scores(0.7), scores(0.7), False),
        ("loss", scores(0.7, 0.4), scores(0.7, 0.5), True),
        ("loss", scores(0.9, 0.6), scores(0.7, 0.5), False),
    ],
)
def test_improves_knows_which_way_is_up(metric, candidate, standing, better):
    assert improves(metric, candidate, standing) is better
