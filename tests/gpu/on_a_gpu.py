"""What only a machine with a GPU can show. `make gpu` runs it; without a GPU it fails.

The name keeps it out of the default suite, which must pass on a machine without one.
"""

import threading

import numpy as np
import pytest
import torch

from fedmodels.classifier import build_classifier
from fedmodels.errors import TrainingFailed
from fedmodels.recipe import LocalTraining, ModelConfig
from fedmodels.toy_model import write_toy_model
from fedmodels.training.evaluate import evaluate
from fedmodels.training.loop import train_local
from fedmodels.training.precision import has_fast_bfloat16, pick_device
from fedmodels.training.tokenized import EncodedTexts
from flows.following import coordinator_store
from infra.layout import round_key
from infra.waiting import wait_for
from tests.end_to_end.conftest import federation, tables  # noqa: F401 (fixtures)
from tests.end_to_end.federation import kill_flow_runs

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
MB = 1_000_000
CONFIG = LocalTraining(epochs=2, batch_size=16, learning_rate=1e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("model"), hidden_size=64, layers=2)


@pytest.fixture
def train(folder):
    """Train a fresh model of the same weights on the same 200 texts; returns (weights on the CPU, result)."""
    draw = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(draw.integers(4, 30, 200))])
    texts = EncodedTexts(draw.integers(5, 30, offsets[-1]).astype(np.int32), offsets, 0)
    labels = draw.integers(0, 2, 200).tolist()

    def run(device, config=CONFIG, scored_before=False, **options):
        model, _ = build_classifier(folder, ModelConfig(max_length=32), ("bad", "good"), seed=1)
        if scored_before:
            evaluate(model, texts, labels, device=device)
        result = train_local(
            model, texts, labels, config, schedule=(0, 1), seed=(42, "shop-a", 1), device=device, **options
        )
        return [parameter.detach().cpu() for parameter in model.parameters()], result

    return run


def test_the_gpu_is_chosen():
    assert pick_device().type == "cuda"


def test_in_float32_it_trains_what_the_processor_trains(train):
    config = CONFIG.model_copy(update={"precision": "float32"})
    (ours, result), (theirs, expected) = train(GPU, config), train(CPU, config)
    assert result.loss == pytest.approx(expected.loss, rel=0.02)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True)) < 0.02


@pytest.mark.parametrize("precision", ["auto", "tf32", "bfloat16"])
def test_shorter_products_are_used_and_come_close(train, precision):
    assert has_fast_bfloat16(GPU)
    shortened = train(GPU, CONFIG.model_copy(update={"precision": precision}))[1].loss
    exact = train(GPU, CONFIG.model_copy(update={"precision": "float32"}))[1].loss
    assert shortened != exact
    assert shortened == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_the_same_arguments_give_the_same_bits(train, precision):
    config = CONFIG.model_copy(update={"precision": precision})
    once, again = train(GPU, config)[0], train(GPU, config)[0]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_a_model_that_was_scored_there_before_trains_to_the_same_bits(train):
    """As the coordinator does, which scores the average and then tunes it."""
    scored, fresh = train(GPU, scored_before=True)[0], train(GPU)[0]
    assert all(torch.equal(a, b) for a, b in zip(scored, fresh, strict=True))


def test_a_batch_that_does_not_fit_is_an_error_with_a_code(folder):
    long = EncodedTexts(np.ones(128 * 20_000, np.int32), np.arange(20_001) * 128, 0)
    model, _ = build_classifier(folder, ModelConfig(max_length=128), ("bad", "good"), seed=1)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(500 * MB / total)
    try:
        with pytest.raises(TrainingFailed, match="does not fit into memory") as caught:
            train_local(
                model,
                long,
                [0] * 20_000,
                LocalTraining(batch_size=20_000),
                schedule=(0, 1),
                seed=(1, "shop-a", 1),
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert caught.value.code == "training-out-of-memory"


def test_parties_train_on_it_in_a_whole_run_and_leave_it_free(federation):  # noqa: F811
    recipe = federation.recipe("gpu", min_available_parties=2)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    before, most, over = _taken(), 0, threading.Event()

    def watch():
        nonlocal most
        while not over.wait(0.05):
            most = max(most, _taken())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        document = federation.document("train", "--recipe", str(recipe), "--run", "gpu-1")
    finally:
        over.set()
        watcher.join()
    assert document["status"] == "finished"
    assert most > before + 100 * MB, "nobody used the GPU"
    assert wait_for(lambda: _taken() < before + 100 * MB, timeout=60)
    again = federation.document("train", "--recipe", str(recipe), "--run", "gpu-2")
    assert again["model_sha256"] == document["model_sha256"]


def test_a_session_killed_while_it_trains_gets_its_place_again(federation):  # noqa: F811
    recipe = federation.recipe("gpu-long", min_available_parties=2, num_rounds=3)
    assert federation.call("data", "prepare", "--recipe", str(recipe)).returncode == 0
    store = coordinator_store(federation.home)
    training = federation.begin("train", "--recipe", str(recipe), "--run", "gpu-3", "--json")
    first_round = round_key("gpu-3", 1, "record")
    assert wait_for(lambda: store.exists(first_round) or training.poll() is not None, timeout=120)
    assert training.poll() is None, training.communicate()
    kill_flow_runs(federation, "shop-a", "gpu-3")
    assert training.wait(timeout=200) == 0


def _taken() -> int:
    """Bytes of the GPU that anybody has taken."""
    free, total = torch.cuda.mem_get_info(GPU)
    return total - free
