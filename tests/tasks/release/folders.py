"""Models as folders of two files, where there is no architecture to build a real one of."""

import json
from pathlib import Path

import pytest

from fedmodels.protocol.messages import Plan
from infra.layout import model_key
from infra.object_store import ObjectStore

PLACES = ("tasks.release.recorded_files.write_model_folder", "tasks.release.signing.write_model_folder")


def small_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every release have such a folder: the runs of these tests have no architecture."""
    for place in PLACES:
        monkeypatch.setattr(place, folder_of)


def folder_of(store: ObjectStore, plan: Plan, sha256: str, folder: Path) -> Path:
    """In place of `write_model_folder`."""
    folder.mkdir(parents=True)
    store.download(model_key(sha256), folder / "model.safetensors", sha256)
    (folder / "config.json").write_text(json.dumps({"labels": plan.labels}))
    return folder
