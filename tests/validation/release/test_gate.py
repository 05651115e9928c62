"""The release gate, driven to both verdicts by each of its checks."""

from dataclasses import replace

import numpy as np
import pytest

from fedmodels.protocol.messages import Metrics
from fedmodels.protocol.releases import ReleaseCheck
from fedmodels.recipe import ReleaseGate
from fedmodels.row_scores import RowScores
from validation.release.evidence import Evidence, PartyScores, slices_of
from validation.release.gate import release_checks

ROWS = 600


def rows(wrong: int, *, first: int = 0, confidence: float = 0.9, loss: float = 0.4) -> RowScores:
    """`wrong` wrong rows from row `first` on."""
    correct = np.ones(ROWS, dtype=bool)
    correct[first : first + wrong] = False
    return RowScores(correct, np.full(ROWS, loss), np.full(ROWS, confidence))


def metrics(accuracy: float, n: int = 100, macro_f1: float | None = None) -> Metrics:
    return Metrics(
        accuracy=accuracy, macro_f1=accuracy if macro_f1 is None else macro_f1, loss=0.4, num_examples=n
    )


GOOD = Evidence(
    candidate=rows(60),
    champion=rows(66, first=3),
    champion_release=4,
    parties={"shop-a": PartyScores(metrics(0.9), metrics(0.88)), "shop-b": PartyScores(None)},
    contracts={"shop-a": "", "shop-b": ""},
    model_bytes=90_000_000,
    latency_ms=8.0,
    slices={"label=good": np.arange(ROWS) < 400, "label=bad": np.arange(ROWS) >= 400},
    holdout=metrics(0.87, 500),
)


def judge(evidence=GOOD, further=(), **bounds):
    found = release_checks(ReleaseGate(**bounds), evidence, np.random.default_rng(0), further)
    return {check.name: check for check in found}


def verdicts(found):
    return {name: check.verdict for name, check in found.items()}


def failed(found):
    return [name for name, check in found.items() if check.verdict == "failed"]


def test_a_good_candidate_fails_nothing_and_every_check_speaks():
    found = judge()
    assert verdicts(found) == {
        "accuracy": "reported",
        "non-inferiority": "passed",
        "mcnemar": "reported",
        "loss-rise": "reported",
        "slice/label=bad": "passed",
        "slice/label=good": "passed",
        "calibration": "passed",
        "party/shop-a/accuracy": "reported",
        "party/shop-a/macro-f1": "reported",
        "party/shop-a/drop": "passed",
        "party/shop-b": "not-checked",
        "data-contracts": "passed",
        "size": "reported",
        "latency": "reported",
        "holdout": "reported",
    }
    assert all(
        check.sentence.endswith((": passed.", ": reported.", ": not checked.")) for check in found.values()
    )


def test_a_champion_whose_rows_were_cut_otherwise_is_told_and_refuses_nothing():
    found = judge(replace(GOOD, champion_cut="its seed was 42 and is 7"))
    assert found.keys() - judge().keys() == {"champion-rows"}
    assert found["champion-rows"].sentence == (
        "What cuts the rows is not as it was in the run of release 4 (its seed was 42 and is 7): where no "
        "table is named as a holdout, one of the two models may have trained on rows that both are scored "
        "on: reported."
    )


def test_its_sentences():
    found = judge(min_accuracy=0.85)
    assert found["accuracy"].sentence == (
        "The accuracy on validation is 0.9000 ± 0.0122 on 600 rows, within min_accuracy 0.85: passed."
    )
    assert found["mcnemar"].sentence == (
        "The candidate is right on 9 rows on which the champion is wrong, and wrong on 3 on which it is "
        "right (McNemar's exact test: p = 0.1460): reported."
    )
    said = found["non-inferiority"].sentence
    assert said.startswith("Against release 4 the accuracy on validation changes by +0.0100, 95 % interval ")
    assert said.endswith("on 600 rows; the lower end is within the margin -0.05: passed.")
    assert found["party/shop-a/drop"].sentence == (
        "The accuracy on shop-a's holdout changes by +0.0200 ± 0.0442 against the champion "
        "(0.8800 to 0.9000), no evident fall beyond max_party_drop 0.1: passed."
    )


@pytest.mark.parametrize(
    ("wrong", "margin", "passes"),
    [(60, 0.0, False), (60, 0.03, True), (72, 0.03, False), (72, 0.05, True), (120, 0.05, False)],
)
def test_the_candidate_has_to_show_that_it_is_not_inferior(wrong, margin, passes):
    evidence = replace(GOOD, candidate=rows(wrong, first=30), champion=rows(60), slices={})
    found = judge(evidence, margin=margin)["non-inferiority"]
    assert (found.verdict == "passed") is passes
    assert (found.value >= found.bound) is passes


def test_more_rows_show_what_fewer_cannot():
    few = replace(GOOD, candidate=half(rows(60), 40), champion=half(rows(60), 40), slices={})
    assert failed(judge(few, max_ece=None)) == ["non-inferiority"]
    assert failed(judge(replace(few, candidate=rows(60), champion=rows(60)))) == []


def half(scores: RowScores, number: int) -> RowScores:
    return RowScores(scores.correct[:number], scores.losses[:number], scores.confidences[:number])


def test_the_first_release_is_judged_by_bounds_alone_and_says_so():
    first = replace(GOOD, champion=None, champion_release=None, parties={"shop-a": PartyScores(metrics(0.9))})
    found = judge(first)
    assert failed(found) == []
    assert found["non-inferiority"].verdict == "not-checked"
    assert (
        "no champion yet, so that bounds alone decide on this first release"
        in found["non-inferiority"].sentence
    )
    assert "mcnemar" not in found
    assert found["slice/label=bad"].verdict == "reported"
    assert failed(judge(first, min_accuracy=0.95)) == ["accuracy"]


def test_scores_that_are_not_finite_are_refused_and_the_rest_is_told_all_the_same():
    found = judge(replace(GOOD, candidate=None))
    assert failed(found) == ["accuracy"]
    assert "no finite scores on validation: refused." in found["accuracy"].sentence
    assert found["size"].value == 90_000_000


def test_a_champion_without_finite_scores_is_compared_with_nothing():
    found = judge(replace(GOOD, champion=None))
    assert "release 4, has no finite scores" in found["non-inferiority"].sentence


@pytest.mark.parametrize(("loss", "passes"), [(0.4, True), (0.45, True), (0.46, False)])
def test_the_loss_may_not_rise_beyond_its_bound(loss, passes):
    found = judge(replace(GOOD, candidate=rows(60, loss=loss)), max_loss_rise=0.05)
    assert (failed(found) == []) is passes


def test_a_slice_that_evidently_falls_refuses_what_the_average_hides():
    # All 60 faults lie among the 200 rows of one label; the champion's lie elsewhere.
    evidence = replace(GOOD, candidate=rows(60, first=400), champion=rows(60))
    found = judge(evidence)
    assert failed(found) == ["slice/label=bad"]
    assert found["slice/label=bad"].value == pytest.approx(0.3)
    assert "an evident fall beyond max_slice_drop 0.1: refused." in found["slice/label=bad"].sentence
    assert failed(judge(evidence, max_slice_drop=None)) == []


def test_a_fall_in_a_slice_that_chance_explains_passes():
    evidence = replace(GOOD, candidate=rows(5), champion=rows(0), slices={"label=few": np.arange(ROWS) < 40})
    found = judge(evidence)["slice/label=few"]
    assert (found.verdict, found.value) == ("passed", 0.125)
    assert "no evident fall beyond max_slice_drop 0.1" in found.sentence


def test_a_slice_of_few_rows_decides_nothing():
    evidence = replace(GOOD, candidate=rows(29, first=571), slices={"label=rare": np.arange(ROWS) >= 571})
    found = judge(evidence)["slice/label=rare"]
    assert (found.verdict, found.value) == ("not-checked", 0.0)
    assert "29 rows, fewer than min_slice_rows 30" in found.sentence
    assert failed(judge(evidence, min_slice_rows=29)) == ["slice/label=rare"]


@pytest.mark.parametrize(("confidence", "passes"), [(0.9, True), (0.99, True), (0.7, False)])
def test_calibration_has_a_bound(confidence, passes):
    found = judge(replace(GOOD, candidate=rows(60, confidence=confidence)), max_ece=0.1)
    assert (failed(found) == []) is passes


@pytest.mark.parametrize(
    ("accuracy", "n", "passes"),
    [(0.80, 100, True), (0.75, 100, True), (0.70, 100, False), (0.70, 20, True), (0.0, 20, False)],
)
def test_a_partys_floor_takes_its_few_rows_into_account(accuracy, n, passes):
    evidence = replace(GOOD, parties={"shop-a": PartyScores(metrics(accuracy, n))})
    assert (failed(judge(evidence, min_party_accuracy=0.8, max_party_drop=None)) == []) is passes


@pytest.mark.parametrize(("macro_f1", "passes"), [(0.6, True), (0.599, False)])
def test_macro_f1_is_judged_as_it_is(macro_f1, passes):
    evidence = replace(GOOD, parties={"shop-a": PartyScores(metrics(0.9, macro_f1=macro_f1))})
    assert (failed(judge(evidence, min_party_macro_f1=0.6, max_party_drop=None)) == []) is passes


@pytest.mark.parametrize(
    ("before", "after", "n", "passes"),
    [(0.9, 0.85, 400, True), (0.9, 0.70, 400, False), (0.9, 0.70, 20, True)],
)
def test_one_party_that_evidently_loses_refuses_for_all(before, after, n, passes):
    parties = {
        "shop-a": PartyScores(metrics(after, n), metrics(before, n)),
        "shop-b": PartyScores(metrics(0.95), metrics(0.8)),
    }
    found = judge(replace(GOOD, parties=parties))
    assert failed(found) == ([] if passes else ["party/shop-a/drop"])


def test_an_evaluation_that_was_changed_since_refuses():
    found = judge(replace(GOOD, parties={"shop-a": PartyScores(None, fault="was changed since the round")}))
    assert "party/shop-a" in failed(found)
    assert found["party/shop-a"].sentence == "The evaluation of shop-a was changed since the round: refused."


def test_a_party_that_abstained_is_named_with_its_reason():
    silent = {**GOOD.parties, "shop-b": PartyScores(None, missing="no holdout rows")}
    found = judge(replace(GOOD, parties=silent))["party/shop-b"]
    assert (found.verdict, found.value) == ("not-checked", None)
    assert found.sentence == (
        "shop-b did not score the candidate (no holdout rows), so that no bound was held against its "
        "holdout: not checked."
    )


@pytest.mark.parametrize(
    "bounds", [{"min_party_accuracy": 0.5}, {"min_party_macro_f1": 0.5}, {"max_party_drop": 0.1}]
)
def test_bounds_that_nobody_could_be_held_against_are_not_met(bounds):
    nobody = replace(GOOD, parties={"shop-a": PartyScores(None)})
    assert judge(nobody, max_party_drop=None)["parties"].verdict == "not-checked"
    found = judge(nobody, **{"max_party_drop": None, **bounds})
    assert failed(found) == ["parties"]
    assert (
        f"where the recipe sets {next(iter(bounds))} (null switches a bound off)" in found["parties"].sentence
    )


def test_before_the_first_release_there_is_no_fall_to_check():
    nobody = replace(GOOD, parties={"shop-a": PartyScores(None)}, champion=None, champion_release=None)
    assert judge(nobody)["parties"].verdict == "not-checked"
    alone = replace(nobody, parties={"shop-a": PartyScores(metrics(0.9))})
    assert "party/shop-a/drop" not in judge(alone)
    assert failed(judge(alone)) == []


def test_a_champion_that_was_not_scored_on_the_same_rows_is_compared_with_nothing():
    some = {
        "shop-a": PartyScores(metrics(0.9), metrics(0.88)),
        "shop-b": PartyScores(metrics(0.5), missing="gone"),
    }
    found = judge(replace(GOOD, parties=some))
    assert failed(found) == []
    assert (found["party/shop-b/drop"].verdict, found["party/shop-b/drop"].value) == ("not-checked", None)
    assert found["party/shop-b/drop"].sentence == (
        "There is no score of the champion on the rows of shop-b's holdout (gone): not checked."
    )
    assert "parties" not in found


def test_a_fall_that_could_be_checked_nowhere_refuses():
    nowhere = replace(GOOD, parties={"shop-a": PartyScores(metrics(0.9))})
    found = judge(nowhere)
    assert failed(found) == ["parties"]
    assert (
        "max_party_drop 0.1 holds nowhere; train again while this champion stands"
        in found["parties"].sentence
    )
    assert failed(judge(nowhere, max_party_drop=None)) == []


def test_a_broken_contract_refuses_unless_the_recipe_only_wants_to_know():
    broken = replace(GOOD, contracts={"shop-a": "", "shop-b": "contract-failed"})
    found = judge(broken)
    assert failed(found) == ["data-contracts"]
    assert "shop-b (contract-failed)" in found["data-contracts"].sentence
    assert judge(broken, require_contracts=False)["data-contracts"].verdict == "reported"
    for nobody in ({}, {"shop-a": None}):
        assert judge(replace(GOOD, contracts=nobody))["data-contracts"].verdict == "not-checked"


def test_a_party_of_whose_data_nothing_is_known_is_named():
    found = judge(replace(GOOD, contracts={"shop-a": "", "shop-b": None}))["data-contracts"]
    assert (found.verdict, found.sentence) == (
        "passed",
        "The data of 1 party satisfied their contracts; of shop-b nothing is known: passed.",
    )


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"max_model_bytes": 90_000_000, "max_latency_ms": 8.0}, []),
        ({"max_model_bytes": 89_999_999}, ["size"]),
        ({"max_latency_ms": 7.9}, ["latency"]),
    ],
)
def test_size_and_latency_have_bounds(bounds, expected):
    assert failed(judge(**bounds)) == expected


def test_the_holdout_never_decides():
    for holdout in (metrics(0.0), None):
        assert failed(judge(replace(GOOD, holdout=holdout))) == []


def test_later_checks_are_passed_in_and_may_refuse():
    budget = ReleaseCheck(name="privacy-budget", value=9.0, bound=8.0, verdict="failed", sentence="Spent.")
    assert failed(judge(further=[budget])) == ["privacy-budget"]
    with pytest.raises(ValueError, match="size"):
        judge(further=[budget.model_copy(update={"name": "size"})])


def test_slices_are_labels_and_four_lengths():
    found = slices_of(["b", "a", "a", "b"] * 5, list(range(1, 21)))
    assert sorted(found) == [
        "label=a",
        "label=b",
        "length=1-5",
        "length=11-15",
        "length=16-20",
        "length=6-10",
    ]
    assert sum(mask.sum() for name, mask in found.items() if name.startswith("length")) == 20


def test_rows_of_one_length_are_one_slice():
    assert [name for name in slices_of(["a"] * 9, [7] * 9) if name.startswith("length")] == ["length=7-7"]
