"""A party's place on its GPU, while no Prefect server is there. No GPU is needed."""

import socket
from types import SimpleNamespace

import pytest
import torch
from prefect.settings import PREFECT_API_URL, temporary_settings

from fedmodels.errors import TrainingFailed
from tasks.party.training import place_on_gpu


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
    with temporary_settings({PREFECT_API_URL: nowhere}):
        recipe = SimpleNamespace(round_timeout=0.1)
        yield SimpleNamespace(party="shop-a", workspace=tmp_path, joined_plan=SimpleNamespace(recipe=recipe))


def test_a_party_with_a_gpu_trains_while_prefect_is_away(session):
    trained = []
    with place_on_gpu(session, lambda: False):
        trained.append("round 1")
    with place_on_gpu(session, lambda: False):
        trained.append("round 2")
    assert trained == ["round 1", "round 2"]


def test_and_its_other_session_waits(session):
    with (
        place_on_gpu(session, lambda: False),
        pytest.raises(TrainingFailed, match="was not free") as caught,
        place_on_gpu(session, lambda: False),
    ):
        pass
    assert caught.value.code == "gpu-busy"
