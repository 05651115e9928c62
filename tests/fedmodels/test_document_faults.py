"""Each fault names key, value and bound in our words, whatever pydantic calls it."""

from copy import deepcopy

import pytest
from pydantic import ValidationError

from fedmodels.document_faults import describe_faults
from fedmodels.recipe import Recipe

PARTIES = {"shop-a": {"train": "a.csv"}, "shop-b": {"train": "b.csv"}}


def told(document) -> str:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(document)
    return describe_faults(caught.value, Recipe)


def told_of(changes) -> str:
    """Of a recipe that is right but for these values, by dotted key."""
    data = {"parties": deepcopy(PARTIES), "coordinator": {"table": "c.csv"}}
    document: dict = {"name": "tiny", "data": data}
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        place = document
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return told(document)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_rounds", "many", "is 'many', but must be a whole number of at least 1 and at most 10000"),
        ("num_rounds", 0, "is 0, but must be a whole number of at least 1 and at most 10000"),
        ("num_rounds", 10_001, "is 10001, but must be a whole number of at least 1 and at most 10000"),
        ("max_failed_rounds", 1.5, "is 1.5, but must be a whole number of at least 0"),
        ("max_failed_rounds", None, "is null, but must be a whole number of at least 0"),
        ("round_timeout", 0, "is 0, but must be a number above 0"),
        ("round_timeout", float("inf"), "is inf, but must be a finite number above 0"),
        ("fraction_train", 2, "is 2, but must be a number above 0 and at most 1"),
        ("evaluate_at_parties", "maybe", "is 'maybe', but must be true or false"),
        ("evaluate_at_parties", [], "is a list of 0 values, but must be true or false"),
        ("description", 5, "is 5, but must be text"),
        ("strategy", "krum", "is 'krum', but must be fedavg"),
        ("key_metric", "f1", "is 'f1', but must be accuracy, macro_f1 or loss"),
        (
            "name",
            "My Shop",
            "is 'My Shop', but must be an id of 1 to 31 lower-case letters, digits or hyphens",
        ),
        ("local", 3, "is 3, but must be a mapping of keys to values"),
        ("gate.max_loss", "x" * 60, "must be a number above 0"),
        ("gate.max_loss_ratio", 0.5, "is 0.5, but must be a number of at least 1"),
        ("model.source", "", "is '', but must be text that is not empty"),
        ("model.config.hidden_size", None, "is null, but must be a number, text or true or false"),
        ("data.labels", "x", "is 'x', but must be a list"),
        ("data.coordinator.shares", [0.5, 0.5], "is a list of 2 values, but must be a list of 3 values"),
        ("data.coordinator.shares", [0.1] * 4, "is a list of 4 values, but must be a list of 3 values"),
        ("data.parties.shop-a.groups", ["x"], ".0 is 'x', but must be like 7 or 1-99"),
    ],
)
def test_key_value_and_bound(key, value, said):
    dot = "" if said.startswith(".") else " "
    assert told_of({key: value}) == f"1 fault: {key}{dot}{said}"


def test_a_key_that_may_not_be_one():
    an_id = "an id of 1 to 31 lower-case letters, digits or hyphens"
    assert told_of({"data.parties.Shop C": {}}) == (
        f"1 fault: data.parties has the key 'Shop C', but each key must be {an_id}"
    )
    assert told_of({"drift.columns": {"": "number"}}) == (
        "1 fault: drift.columns has the key '', but each key must be a name of 1 to 64 printable characters"
    )


def test_what_lacks_and_what_does_not_go_together():
    assert told({"name": "tiny", "data": {"parties": PARTIES}}) == "1 fault: data.coordinator is missing"
    assert told_of({"min_available_parties": 3}) == (
        "1 fault: min_available_parties is 3, but data.parties names only 2"
    )


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("num_round", "num_round is not a known key, perhaps num_rounds is meant"),
        ("local.epoch", "local.epoch is not a known key, perhaps epochs is meant"),
        ("parties", "parties is not a known key, perhaps data.parties is meant"),
        ("epochs", "epochs is not a known key, perhaps local.epochs or fine_tuning.epochs is meant"),
        ("colour", "1 fault: colour is not a known key"),
        ("fine_tuning.colour", "1 fault: fine_tuning.colour is not a known key"),
    ],
)
def test_the_key_that_was_perhaps_meant(key, said):
    assert told_of({key: "red"}).endswith(said)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "1 fault: the document is empty, but must be a mapping of keys to values"),
        ("words", "1 fault: the document must be a mapping of keys to values"),
        ({}, "2 faults: name is missing; data is missing"),
    ],
)
def test_what_is_no_document(document, said):
    assert told(document) == said
