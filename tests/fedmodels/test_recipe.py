"""A recipe is refused with all its faults at once; no path reaches the plan."""

import pytest
from pydantic import ValidationError

from fedmodels.document_faults import describe_faults
from fedmodels.protocol.collection import collection_state
from fedmodels.recipe import Recipe

TABLES = {
    "parties": {
        "shop-a": {"train": "/secret/a.csv", "holdout": "/secret/h.csv"},
        "shop-b": {"train": "/secret/b.csv"},
    },
    "coordinator": {"table": "/secret/c.csv"},
}


def parse(**changes) -> Recipe:
    return Recipe.model_validate({"name": "tiny", "data": TABLES, **changes})


def faults(**changes) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(**changes)
    return describe_faults(caught.value, Recipe)


def test_parties_are_sorted():
    data = {**TABLES, "parties": {"zeta": {"train": "z"}, "alpha": {"train": "a"}}}
    assert parse(data=data).parties == ("alpha", "zeta")


def test_the_plan_holds_no_path():
    plain = parse().without_paths().model_dump_json()
    assert "secret" not in plain
    assert Recipe.model_validate_json(plain).parties == ("shop-a", "shop-b")


def test_all_faults_are_reported_at_once():
    said = faults(num_rounds=0, colour="red", seed="x")
    assert said.startswith("3 faults")
    assert "num_rounds is 0, but must be a whole number of at least 1 and at most 10000" in said
    assert "colour is not a known key" in said
    assert "seed is 'x', but must be a whole number of at least 0" in said


def test_few_parties_and_great_falls_are_told_beside_other_faults():
    one = {"one": {"train": "a", "colour": "red"}}
    data = {**TABLES, "parties": one, "labels": "x", "min_rows": 0}
    said = faults(num_rounds=0, data=data, gate={"max_metric_drop": 5, "max_party_drop": 1.5})
    assert said.startswith("6 faults")
    assert "data: parties has 1 entry, at least 2 are needed" in said
    assert "data.parties.one.colour is not a known key" in said
    assert (
        "gate: max_metric_drop is 5 and max_party_drop is 1.5, but accuracy cannot fall by more than 1"
        in said
    )


def test_a_share_cannot_fall_by_more_than_one_and_a_loss_can():
    assert "but macro_f1 cannot fall" in faults(key_metric="macro_f1", gate={"max_metric_drop": 1.01})
    assert parse(gate={"max_metric_drop": 1, "max_party_drop": None}).gate.max_metric_drop == 1
    assert parse(key_metric="loss", gate={"max_metric_drop": 5}).gate.max_metric_drop == 5
    assert faults(key_metric="f1", gate={"max_metric_drop": 5}).startswith("1 fault: key_metric is 'f1'")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": {**TABLES, "parties": {"one": {"train": "a"}}}}, "at least 2 are needed"),
        ({"data": {**TABLES, "parties": {"a": {}, "b": {"train": "b"}}}}, "parties.a needs train"),
        ({"data": {**TABLES, "labels": ["only"]}}, "at least 2 different values"),
        ({"data": {**TABLES, "coordinator": {}}}, "coordinator needs table"),
        ({"data": {**TABLES, "parties": {"Shop A": {"train": "a"}, "b": {"train": "b"}}}}, "Shop A"),
        ({"min_available_parties": 3}, "names only 2"),
        ({"model": {"config": {"hidden_size": 8}}}, "needs init: random"),
        ({"local": {"optimizer": "lion"}}, "local.optimizer is 'lion'"),
        ({"local": {"learning_rate": -1}}, "local.learning_rate is -1"),
        ({"gate": {"max_loss": float("inf")}}, "finite"),
    ],
)
def test_each_fault_names_the_thing_and_the_bound(change, sentence):
    assert sentence in faults(**change)


def test_by_default_a_round_waits_for_large_parties_until_its_timeout():
    answers = {"small-1": 20.0, "small-2": 25.0, "large-1": 400.0}
    cohort = ("large-1", "large-2", *answers)

    def standing(recipe: Recipe, now: float):
        return collection_state(
            cohort,
            answers,
            now,
            quorum=recipe.min_available_parties,
            round_timeout=recipe.round_timeout,
            grace=recipe.grace_limit,
        )

    assert standing(parse(), 3599.0).status == "waiting"
    assert standing(parse(), 3600.0).missing == ("large-2",)
    stated = parse(min_available_parties=2, grace=10)
    assert (standing(stated, 34.9).status, standing(stated, 35.0).status) == ("waiting", "over")
    assert standing(stated, 35.0).missing == ("large-1", "large-2")


def test_labels_may_be_numbers():
    assert parse(data={**TABLES, "labels": [0, 1, 2]}).data.labels == ("0", "1", "2")


@pytest.mark.parametrize(
    ("labels", "words"),
    [([False, True], "false and as true"), (["a", None], "null"), ([True, True, "a"], "true")],
)
def test_labels_that_yaml_does_not_read_as_text_are_to_be_quoted(labels, words):
    said = faults(data={**TABLES, "labels": labels}, num_rounds=0)
    assert said.startswith("2 faults")
    assert f"data.labels: YAML reads a label without quotes as {words}; put each label in quotes" in said
    assert "num_rounds is 0" in said


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["1", "1.0", "2"], "'1' and '1.0', which are one label"),
        ([1, 1.0, 2], "'1' and '1.0', which are one label"),
        (["good", "bad", " good "], "'good' and ' good ', which are one label"),
        (["good", "good", "bad"], "'good' and 'good', which are one label"),
        (["good", " "], "' ', which is blank"),
    ],
)
def test_labels_that_rows_cannot_be_told_by_are_refused_beside_other_faults(labels, said):
    told = faults(data={**TABLES, "labels": labels, "parties": {"one": {"train": "a"}}})
    assert f"labels has {said}" in told
    assert "at least 2 are needed" in told


def test_salvage_is_off_unless_asked_for_and_needs_a_strategy_that_can_have_it(monkeypatch):
    assert parse().salvage is None
    assert parse(salvage={}).salvage.exponent == 0.5
    assert "salvage.exponent is -1" in faults(salvage={"exponent": -1})
    monkeypatch.setattr("fedmodels.recipe.SALVAGING_STRATEGIES", frozenset({"another"}))
    assert "salvage cannot go with strategy fedavg" in faults(salvage={})
    assert parse().strategy == "fedavg"
