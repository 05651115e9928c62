"""The round gate, driven to both verdicts by each of its checks, with numbers written out."""

import math

import pytest

from fedmodels.protocol.messages import Metrics
from fedmodels.recipe import RoundGate
from validation.gates import metric_drop, round_gate

OFF = {
    "max_metric_drop": None,
    "max_party_drop": None,
    "max_loss": None,
    "max_loss_ratio": None,
    "max_norm_ratio": None,
}


def scores(accuracy: float, loss: float = 0.5, macro_f1: float | None = None) -> Metrics:
    return Metrics(
        accuracy=accuracy, macro_f1=accuracy if macro_f1 is None else macro_f1, loss=loss, num_examples=100
    )


def judge(good, candidate, *, key_metric="accuracy", parties=None, norms=None, **bounds):
    return round_gate(RoundGate(**(OFF | bounds)), key_metric, good, candidate, parties or {}, norms or {})


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [(0.80, 0.90, True), (0.80, 0.80, True), (0.80, 0.78, True), (0.80, 0.779, False), (0.80, 0.0, False)],
)
def test_the_metric_may_fall_by_the_bound_and_no_more(before, after, passed):
    assert judge(scores(before), scores(after), max_metric_drop=0.02).passed is passed


def test_its_sentences():
    fell = judge(scores(0.871), scores(0.84), max_metric_drop=0.02)
    assert fell.reasons == (
        "The accuracy on validation fell by 0.0310 (0.8710 to 0.8400), beyond max_metric_drop 0.02: refused.",
    )
    rose = judge(scores(0.84), scores(0.871), max_metric_drop=0.02)
    assert rose.reasons == (
        "The accuracy on validation rose by 0.0310 (0.8400 to 0.8710), within max_metric_drop 0.02: passed.",
    )
    assert "stayed (0.5000 to 0.5000)" in judge(scores(0.5), scores(0.5), max_metric_drop=0.0).reasons[0]


@pytest.mark.parametrize(("after", "passed"), [(0.3, True), (0.5, True), (0.6, True), (0.61, False)])
def test_for_loss_lower_is_better(after, passed):
    result = judge(scores(0.8, 0.5), scores(0.8, after), key_metric="loss", max_metric_drop=0.1)
    assert result.passed is passed
    assert ("rose" in result.reasons[0]) is (after > 0.5)


def test_the_key_metric_is_the_one_that_is_judged():
    good, candidate = scores(0.8, macro_f1=0.8), scores(0.9, macro_f1=0.5)
    assert judge(good, candidate, key_metric="accuracy", max_metric_drop=0.02).passed
    assert not judge(good, candidate, key_metric="macro_f1", max_metric_drop=0.02).passed
    assert metric_drop("macro_f1", good, candidate) == pytest.approx(0.3)


def test_the_first_model_has_nothing_to_fall_from():
    result = judge(None, scores(0.1), max_metric_drop=0.0)
    assert result.passed
    assert "no earlier accuracy" in result.reasons[0]


def test_one_party_that_loses_refuses_for_all():
    parties = {
        "shop-b": (scores(0.8), scores(0.69)),
        "shop-a": (scores(0.8), scores(0.9)),
        "shop-c": (scores(0.8), None),
        "shop-d": (None, scores(0.5)),
    }
    result = judge(scores(0.8), scores(0.9), parties=parties, max_party_drop=0.1)
    assert not result.passed
    assert [sentence.split(": ")[-1] for sentence in result.reasons] == [
        "passed.",
        "refused.",
        "not checked.",
        "passed.",
    ]
    assert (
        "shop-b's holdout fell by 0.1100 (0.8000 to 0.6900), beyond max_party_drop 0.1" in result.reasons[1]
    )
    parties["shop-b"] = (scores(0.8), scores(0.7))
    assert judge(scores(0.8), scores(0.9), parties=parties, max_party_drop=0.1).passed


@pytest.mark.parametrize(("loss", "passed"), [(0.9, True), (1.0, True), (1.01, False)])
def test_the_loss_has_a_ceiling(loss, passed):
    assert judge(None, scores(0.9, loss), max_loss=1.0).passed is passed


@pytest.mark.parametrize(
    ("before", "after", "passed"),
    [(0.5, 0.5, True), (0.5, 1.0, True), (0.5, 1.01, False), (0.01, 0.2, True), (0.01, 0.21, False)],
)
def test_the_loss_must_not_explode(before, after, passed):
    result = judge(scores(0.9, before), scores(0.9, after), max_loss_ratio=2.0)
    assert result.passed is passed
    assert "max_loss_ratio 2" in result.reasons[0]
    assert judge(None, scores(0.9, after), max_loss_ratio=2.0).passed, "nothing to compare with"


@pytest.mark.parametrize(
    ("norms", "passed"),
    [
        ({"a": 1.0, "b": 1.0, "c": 5.0}, True),
        ({"a": 1.0, "b": 1.0, "c": 5.1}, False),
        ({"a": 1.0, "b": 9.0, "c": 9.0}, True),  # the others of b: 1 and 9, whose median is 5
        ({"a": 1.0, "b": 3.0, "c": 11.0}, False),  # the others of c: 1 and 3; with c itself the median was 3
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 5.1}, False),
        ({"a": 1.0, "b": 1e9}, True),  # nobody can tell which one is wrong
        ({"a": 3.0}, True),
        ({"a": 0.0, "b": 0.0}, True),
        ({"a": 0.0, "b": 0.0, "c": 0.1}, False),
        ({"a": 1.0, "b": math.inf}, False),
        ({"a": 1.0, "b": math.nan}, False),
        ({}, True),
    ],
)
def test_no_update_may_dwarf_the_others(norms, passed):
    assert judge(None, scores(0.9), norms=norms, max_norm_ratio=5.0).passed is passed


def test_what_is_said_of_norms():
    (said,) = judge(None, scores(0.9), norms={"a": 1.0, "b": 4.0, "c": 2.0}, max_norm_ratio=2.0).reasons
    assert said == (
        "The largest update (b) is 2.67 times the median of the others, above max_norm_ratio 2: refused."
    )
    for norms, whose in (({"a": 1.0, "b": 1e9}, "2 parties"), ({"a": 1.0}, "1 party")):
        (said,) = judge(None, scores(0.9), norms=norms, max_norm_ratio=20.0).reasons
        assert said == (
            f"Updates of {whose} do not show whose norm is out of line, "
            "for which max_norm_ratio 20 needs 3: not checked."
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused_whatever_is_switched_off(bad):
    broken = Metrics.model_construct(accuracy=0.9, macro_f1=0.9, loss=bad, num_examples=10)
    for candidate in (broken, None):
        result = judge(scores(0.1), candidate)
        assert not result.passed
        assert "no finite scores on validation" in result.reasons[0]
    at_party = judge(None, scores(0.9), parties={"shop-a": (scores(0.9), broken)}, max_party_drop=0.5)
    assert not at_party.passed


def test_every_check_off_passes_and_says_so():
    result = judge(scores(0.9), scores(0.1), parties={"a": (scores(0.9), scores(0.0))}, norms={"a": 1.0})
    assert result.passed
    assert result.reasons == ("The recipe switches every check off: passed.",)


def test_all_checks_speak_even_when_the_first_refuses():
    result = judge(
        scores(0.9, 0.5),
        scores(0.5, 0.6),
        parties={"shop-a": (scores(0.9), scores(0.9))},
        norms={"shop-a": 1.0},
        max_metric_drop=0.02,
        max_party_drop=0.1,
        max_loss=1.0,
        max_norm_ratio=20.0,
    )
    assert not result.passed
    assert ["refused" in sentence for sentence in result.reasons] == [True, False, False, False]
