"""A model folder labels texts as its run scored them: cleaned, and cut at the same length."""

import json

import pytest

from fedmodels.architecture import pack_architecture
from fedmodels.classifier import build_classifier, load_tokenizer, save_architecture, write_parameters
from fedmodels.data.cleaning import clean_text
from fedmodels.data.pinned import pin
from fedmodels.data.rows import LabelledTexts
from fedmodels.data.tables import write_table
from fedmodels.errors import InputError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.recipe import ModelConfig
from infra.layout import architecture_key, model_key
from tasks.model_folder import FACTS, write_model_folder
from tasks.using import predict_texts, score_folder
from tests.fedmodels.conftest import write_tiny_bert
from tests.fedmodels.protocol.builders import plan_for, recipe_for

RAW = (
    "<div><span>the camera is very good</span></div>",
    "hate&nbsp;the   screen",
    "great\u200b battery<br>and it works",
    "a bad player",
    "the camera is very good " * 3,
)
MAX_LENGTH = 8


class OneModel:
    """A store with the blobs of one model, all that a folder is made of."""

    def __init__(self, architecture, weights):
        self.architecture, self.weights = architecture, weights

    def read_blob(self, key, sha256):
        assert key == architecture_key(sha256)
        return self.architecture

    def download(self, key, path, sha256):
        assert key == model_key(sha256)
        path.write_bytes(self.weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The kept model of a run whose recipe cuts texts at 8 tokens, though the model takes 32."""
    made = tmp_path_factory.mktemp("made")
    source, config = write_tiny_bert(made / "tiny"), ModelConfig(max_length=MAX_LENGTH)
    model, tokenizer = build_classifier(source, config, ("bad", "good"), 1)
    save_architecture(model, tokenizer, made / "architecture")
    archive = pack_architecture(made / "architecture")
    sha256 = write_parameters(model, made / "weights.safetensors")
    store = OneModel(archive, (made / "weights.safetensors").read_bytes())
    plan = plan_for(recipe_for("ab").model_copy(update={"model": config}))
    plan = plan.model_copy(update={"architecture_sha256": sha256_hex(archive)})
    return write_model_folder(store, plan, sha256, made / "model")


def test_texts_are_cleaned_as_those_were_that_trained_the_model(folder):
    cleaned = [clean_text(text)[0] for text in RAW]
    assert sum(a != b for a, b in zip(RAW, cleaned, strict=True)) == 4
    assert predict_texts(folder, RAW) == predict_texts(folder, cleaned)
    assert len({item[1] for item in predict_texts(folder, RAW)}) > 1, "and texts differ to this model"


def test_texts_are_cut_where_the_run_cut_them(folder):
    same, longer = "the camera is very good the", "the camera is very good the camera is very bad"
    assert len(set(predict_texts(folder, [same, longer]))) == 1
    assert load_tokenizer(folder).model_max_length == MAX_LENGTH
    ids = load_tokenizer(folder)(longer, truncation=True)["input_ids"]
    assert len(ids) == MAX_LENGTH, "an outside user's too"
    assert json.loads((folder / FACTS).read_text())["max_length"] == MAX_LENGTH


def test_a_text_that_cleaning_empties_gets_no_label_and_moves_no_other(folder):
    alone = predict_texts(folder, ["a bad player", "love the screen"])
    mixed = predict_texts(folder, ["", "a bad player", "<br>\u200b", "love the screen", "  "])
    assert [mixed[place] for place in (0, 2, 4)] == [None] * 3
    assert [mixed[1][0], mixed[3][0]] == [label for label, _ in alone]
    assert [mixed[1][1], mixed[3][1]] == pytest.approx([probability for _, probability in alone])


ROWS = LabelledTexts(("the camera is good", "a bad player"), ("good", "bad"))


def test_scores_say_whether_the_rows_are_those_that_judged_the_run(folder, tmp_path):
    tables = {"validation": tmp_path / "validation.parquet", "holdout": tmp_path / "holdout.parquet"}
    write_table(ROWS, tables["validation"])
    write_table(ROWS.take([1]), tables["holdout"])
    pinned = {"validation": pin(ROWS), "holdout": pin(ROWS)}
    scores = score_folder(folder, tables, MAX_LENGTH, pinned)
    assert {name: score["same_rows"] for name, score in scores.items()} == {
        "validation": True,
        "holdout": False,
    }
    assert scores["holdout"]["num_examples"] == 1
    unknown = score_folder(folder, tables, MAX_LENGTH, None)
    assert {score["same_rows"] for score in unknown.values()} == {None}


def test_a_label_that_the_model_does_not_know_is_one_sentence(folder, tmp_path):
    path = tmp_path / "holdout.parquet"
    write_table(LabelledTexts(("the camera", "a player", "the phone"), ("good", "4", "bad")), path)
    with pytest.raises(InputError) as caught:
        score_folder(folder, {"holdout": path}, MAX_LENGTH, None)
    assert caught.value.code == "labels-unknown"
    assert str(caught.value) == (
        "Of 3 rows of the coordinator's holdout set 1 has a label that the model does not know; "
        "put the rows of its run back, or train a new run with the labels of now."
    )
