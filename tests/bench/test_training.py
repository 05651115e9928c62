"""The benchmark of local training answers with the figures it promises, and its loops learn the same."""

import json
import subprocess
import sys

import pytest
import torch

from bench.training_methods import batch_padded, fedcart_float32, padded, prepare


def test_it_prints_one_document_with_the_methods_asked_for():
    command = [sys.executable, "-m", "bench.training", "--json", "--repeats", "1", "--examples", "8"]
    chosen = ["--model", "toy", "--methods", "limit", "fedcart"]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert list(document["results"]) == ["limit", "fedcart"]
    for figures in document["results"].values():
        assert figures["examples_per_second"] == pytest.approx(8 / figures["wall_seconds"], rel=0.05)
        assert figures["cpu_seconds"] > 0
    assert document["repeatable"] == {"fedcart": True}
    assert document["environment"]["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("method", [fedcart_float32, batch_padded, padded])
def test_each_loop_trains_every_text_once(method):
    work = prepare("toy", 64)
    before = [parameter.detach().clone() for parameter in work.model.parameters()]
    method(work)
    after = list(work.model.parameters())
    assert all(bool(torch.isfinite(parameter).all()) for parameter in after)
    moved = [float((a - b).detach().abs().max()) for a, b in zip(after, before, strict=True)]
    # AdamW moves a weight by the learning rate a step at most: two batches of 32.
    assert 1e-4 < max(moved) < 2.2e-4


def test_padding_changes_no_result():
    works = [prepare("toy", 64, dropout=0.0) for _ in range(2)]
    padded(works[0])
    batch_padded(works[1])
    pairs = zip(works[0].model.parameters(), works[1].model.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-4
