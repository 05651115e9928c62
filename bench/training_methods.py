"""The methods that `bench.training` compares, each run in a process of its own.

    python -m bench.training_methods METHOD MODEL EXAMPLES

Prints seconds, texts a second, the most memory taken on the device, and a hash of the trained weights.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.report import MB
from fedmodels.recipe import LocalTraining
from fedmodels.training.loop import train_local
from fedmodels.training.precision import has_fast_bfloat16, pick_device
from fedmodels.training.tokenized import EncodedTexts

MODELS = {"minilm": (384, 6, 1536), "bert-base": (768, 12, 3072), "toy": (24, 1, 48)}
"""Width, layers and inner width, of all-MiniLM-L6-v2 and bert-base-uncased first; all know 30,522 tokens."""
BATCH, MAX_LENGTH, MEDIAN_LENGTH, SPREAD = 32, 128, 19, 0.6
LEARNING_RATE, MAX_GRAD_NORM = 1e-4, 1.0
WARM_UP = 4 * BATCH
PRODUCT_SIDE = {"cpu": 1024, "cuda": 8192}


@dataclass(frozen=True)
class Work:
    """What every method trains."""

    model: Any
    texts: EncodedTexts
    labels: NDArray[np.int64]
    device: torch.device


def prepare(name: str, num_examples: int, dropout: float = 0.1) -> Work:
    """A random classifier of two classes, and as many random texts, from one seed."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    torch.set_num_threads(1)
    width, layers, inner = MODELS[name]
    config = BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=inner,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = BertForSequenceClassification(config)
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(MEDIAN_LENGTH), SPREAD, num_examples), 3, MAX_LENGTH)
    offsets = np.concatenate([[0], np.cumsum(lengths.astype(np.int64))])
    ids = draw.integers(1000, 30_000, offsets[-1]).astype(np.int32)
    return Work(model, EncodedTexts(ids, offsets, 0), draw.integers(0, 2, num_examples), pick_device())


def fedcart(work: Work) -> None:
    """One epoch as a party trains it."""
    _train(work, LocalTraining(batch_size=BATCH, learning_rate=LEARNING_RATE))


def fedcart_float32(work: Work) -> None:
    """The same with every product in full float32."""
    _train(work, LocalTraining(batch_size=BATCH, learning_rate=LEARNING_RATE, precision="float32"))


def fedcart_bfloat16(work: Work) -> None:
    """The same in bfloat16, which halves what the activations take."""
    _train(work, LocalTraining(batch_size=BATCH, learning_rate=LEARNING_RATE, precision="bfloat16"))


def padded(work: Work) -> None:
    """A plain loop over shuffled batches; every text is as long as the longest that is allowed."""
    _plain(work, full=True)


def batch_padded(work: Work) -> None:
    """The same; every text is as long as the longest of its batch."""
    _plain(work, full=False)


def limit(work: Work) -> None:
    """The matrix products of a forward and a backward pass over the tokens, and nothing else."""
    device = work.device
    dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    side = PRODUCT_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    encoder = sum(p.numel() for p in work.model.bert.encoder.parameters())
    for _ in range(max(1, round(6 * encoder * len(work.texts.ids) / (2 * side**3)))):
        left @ right


METHODS: dict[str, Callable[[Work], None]] = {
    "limit": limit,
    "fedcart": fedcart,
    "fedcart-float32": fedcart_float32,
    "fedcart-bfloat16": fedcart_bfloat16,
    "batch-padded": batch_padded,
    "padded": padded,
}


def _train(work: Work, config: LocalTraining) -> None:
    train_local(work.model, work.texts, work.labels.tolist(), config, schedule=(0, 1), seed=(0, "shop", 1))


def _plain(work: Work, *, full: bool) -> None:
    model = work.model.to(work.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for rows in _shuffled(len(work.texts)):
        ids, mask = work.texts.batch(rows)
        if full:
            ids, mask = (nn.functional.pad(part, (0, MAX_LENGTH - part.shape[1])) for part in (ids, mask))
        labels = torch.from_numpy(work.labels[rows]).to(work.device)
        loss = model(input_ids=ids.to(work.device), attention_mask=mask.to(work.device), labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad()


def _shuffled(count: int) -> Iterator[NDArray[np.int64]]:
    order = np.random.default_rng(0).permutation(count)
    yield from (order[begin : begin + BATCH] for begin in range(0, count, BATCH))


def _finished(device: torch.device) -> tuple[float, float]:
    """Wall and processor clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def _sha256(model: Any) -> str:
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """Run one method and print what it took."""
    method, model, num_examples = METHODS[sys.argv[1]], sys.argv[2], int(sys.argv[3])
    method(prepare(model, WARM_UP))
    work = prepare(model, num_examples)
    cuda = work.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    wall, cpu = _finished(work.device)
    method(work)
    wall_after, cpu_after = _finished(work.device)
    figures = {
        "wall_seconds": wall_after - wall,
        "cpu_seconds": cpu_after - cpu,
        "examples_per_second": num_examples / (wall_after - wall),
        "peak_device_mb": torch.cuda.max_memory_allocated() / MB if cuda else 0.0,
        "weights_sha256": _sha256(work.model),
        "device": torch.cuda.get_device_name() if cuda else "processor, one thread",
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
