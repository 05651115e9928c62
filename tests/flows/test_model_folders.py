"""The kept model is copied to a folder that is free, or holds a model, and nowhere else."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from fedmodels.errors import InputError
from flows import model_folders
from flows.model_folders import check_model_target, copy_model
from infra.locations import kept_model_folder

FILES = ("config.json", "model.safetensors", "fedcart.json")


@pytest.fixture
def home(tmp_path):
    kept = kept_model_folder(tmp_path / "home", "run-1")
    kept.mkdir(parents=True)
    for name in FILES:
        (kept / name).write_text("new")
    return tmp_path / "home"


@pytest.mark.parametrize("standing", [(), (*FILES, "left-over")], ids=["empty", "an older model"])
def test_a_model_takes_the_place_of_nothing_or_of_a_model(home, tmp_path, standing):
    target = tmp_path / "deep" / "model"
    target.mkdir(parents=True)
    for name in standing:
        (target / name).write_text("old")
    copy_model(home, "run-1", target)
    assert {path.name: path.read_text() for path in target.iterdir()} == dict.fromkeys(FILES, "new")
    assert list(target.parent.iterdir()) == [target]


def test_a_model_is_copied_to_where_nothing_is(home, tmp_path):
    copy_model(home, "run-1", tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "config.json").read_text() == "new"


def test_a_file_is_refused_with_a_sentence_and_stays(home, tmp_path):
    file = tmp_path / "precious"
    file.write_text("thesis")
    with pytest.raises(InputError, match=f"{file} is a file; choose another folder") as caught:
        copy_model(home, "run-1", file)
    assert caught.value.code == "folder-taken"
    assert file.read_text() == "thesis"
    check_model_target(tmp_path / "free")


def test_a_folder_of_an_older_form_is_made_anew(home, monkeypatch):
    """Its tokenizer does not say where the run cut texts."""
    (kept_model_folder(home, "run-1") / "fedcart.json").unlink()
    closed = SimpleNamespace(final=object(), model_sha256="0" * 64)
    monkeypatch.setattr(model_folders, "open_store", lambda _home: nullcontext())
    monkeypatch.setattr(model_folders, "read_plan", lambda *_: "plan")
    monkeypatch.setattr(model_folders, "read_message", lambda *_: closed)
    monkeypatch.setattr(model_folders, "refuse_pruned", lambda *_: None)
    monkeypatch.setattr(model_folders, "write_model_folder", lambda *given: given)
    made = model_folders.model_folder(home, "run-1")
    assert made == (None, "plan", "0" * 64, kept_model_folder(home, "run-1"))
