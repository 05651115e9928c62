"""The kept model as a folder: whole or not at all, however many make it at once."""

import pytest

from fedmodels import classifier
from fedmodels.architecture import pack_architecture
from fedmodels.classifier import build_classifier, load_released_model, save_architecture, write_parameters
from fedmodels.errors import IntegrityError
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.recipe import ModelConfig
from fedmodels.toy_model import write_toy_model
from infra.layout import architecture_key, model_key
from tasks.model_folder import write_model_folder
from tests.fedmodels.protocol.builders import plan_for, recipe_for
from tests.store_alone import store_alone, store_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with store_alone(tmp_path_factory.mktemp("home"), ("a", "b")) as home:
        yield store_of(home, "coordinator")


@pytest.fixture(scope="module")
def kept(store, tmp_path_factory):
    """A plan, and the hash of a model of it, both in the store."""
    folder = tmp_path_factory.mktemp("made")
    source = write_toy_model(folder / "toy")
    model, tokenizer = build_classifier(source, ModelConfig(max_length=32), ("bad", "good"), 1)
    save_architecture(model, tokenizer, folder / "architecture")
    archive = pack_architecture(folder / "architecture")
    store.put_blob(architecture_key(sha256_hex(archive)), archive)
    sha256 = write_parameters(model, folder / "weights.safetensors")
    store.upload(model_key(sha256), folder / "weights.safetensors", sha256)
    plan = plan_for(recipe_for("ab"))
    return plan.model_copy(update={"architecture_sha256": sha256_hex(archive)}), sha256


def test_two_that_write_it_at_once_both_have_it(store, kept, tmp_path, monkeypatch):
    """The second one begins and ends while the first one stands before its weights."""
    folder, read_parameters = tmp_path / "model", classifier.read_parameters

    def read_late(model, path):
        monkeypatch.undo()
        write_model_folder(store, *kept, folder)
        read_parameters(model, path)

    monkeypatch.setattr(classifier, "read_parameters", read_late)
    assert write_model_folder(store, *kept, folder) == folder
    model, tokenizer = load_released_model(folder)
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert tokenizer.pad_token
    assert list(tmp_path.iterdir()) == [folder]


def test_one_whose_weights_are_missing_leaves_what_stood_there_and_nothing_beside(store, kept, tmp_path):
    folder = write_model_folder(store, *kept, tmp_path / "model")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(IntegrityError):
        write_model_folder(store, kept[0], "0" * 64, folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == [folder]
