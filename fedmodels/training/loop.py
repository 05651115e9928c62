"""Training on one set of texts: a party's round, or the coordinator's fine-tuning.

The model is changed in place. Everything random comes from the caller's seed, so that the same call
gives the same weights, bit for bit on the same CPU with the same number of threads.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fedmodels.errors import TrainingFailed, training_cancelled
from fedmodels.recipe import LocalTraining
from fedmodels.training.batching import num_batches, training_batches
from fedmodels.training.optimizers import build_optimizer, set_learning_rate
from fedmodels.training.precision import (
    attention_for_any_length,
    autocast,
    pick_device,
    quick_products,
)
from fedmodels.training.schedules import rate_factor
from fedmodels.training.seeds import derive_seed
from fedmodels.training.stopwatch import Stopwatch
from fedmodels.training.tokenized import EncodedTexts
from fedmodels.training.vocabulary import only_used_rows

Seed = tuple[int, str, int]
"""(recipe seed, party, round): names a training, and so all of its random choices."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training did.

    Args:
        steps: optimiser steps.
        loss: mean cross-entropy of all examples as they were trained on, in nats; `None` without a step.
        num_examples: different examples.
        compute: (begin, end) of `time.perf_counter` inside a forward, backward or optimiser step.
    """

    steps: int
    loss: float | None
    num_examples: int
    compute: tuple[tuple[float, float], ...]


def train_local(
    model: Any,
    examples: EncodedTexts,
    labels: Sequence[int],
    config: LocalTraining,
    *,
    schedule: tuple[int, int],
    seed: Seed,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int, int, float], None] = lambda *_: None,
    device: torch.device | None = None,
    table: str = "train table",
) -> TrainingResult:
    """Train a sequence classifier in place for one round.

    FedProx (Li et al. 2020, "Federated optimization in heterogeneous networks"): with `proximal_mu` μ
    the objective is loss + μ/2 · ‖w - w₀‖², w₀ the weights on entry. The reported loss leaves it out.

    Args:
        model: a transformers sequence classifier of C classes.
        examples: n encoded texts, at least one.
        labels: n class indices below C.
        config: epochs, optimiser, learning rate and so on.
        schedule: (passed rounds, planned rounds): where the learning rate stands. Fine-tuning that is
            its own whole schedule says (0, 1).
        seed: names this training.
        should_stop: asked before each step; true ends the training with an error.
        on_step: told (steps done, steps of this round, loss) after each step.
        device: where to compute; the model is moved there. By default the GPU when there is one.
        table: what an error calls the examples.

    Raises:
        TrainingFailed: `training-no-examples`, `training-labels`, `training-not-finite`,
            `training-out-of-memory` or `training-cancelled`. The weights are then of no use.
    """
    _check(model, examples, labels, table)
    if config.epochs == 0:
        return TrainingResult(0, None, len(examples), ())
    device = device or pick_device()
    watch = Stopwatch()
    with ExitStack() as stack:
        devices = [device] if device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(attention_for_any_length(device))
        stack.enter_context(quick_products(config.precision, device))
        torch.manual_seed(derive_seed("training", *seed))
        model.to(device).train()
        stack.callback(model.eval)
        used = np.union1d(examples.ids, [examples.pad_id]).astype(np.int64)
        stack.enter_context(only_used_rows(model, torch.from_numpy(used)))
        run = _Round(model, config, device, len(examples), schedule)
        targets = torch.as_tensor(np.asarray(labels, dtype=np.int64))
        for epoch in range(config.epochs):
            for rows in training_batches(examples.lengths, config.batch_size, seed=seed, epoch=epoch):
                if should_stop():
                    raise training_cancelled()
                ids, mask = examples.batch(rows)
                with watch:
                    loss = run.step(ids, mask, targets[torch.from_numpy(rows)])
                on_step(run.steps, run.steps_per_round, loss)
    return TrainingResult(run.steps, run.mean_loss, len(examples), watch.intervals)


CPU_TOKENS = 1024
"""Tokens of a forward and backward pass on a CPU: a longer batch is passed in parts, which add up to the
same gradient, and its activations stay below half a gigabyte in a small transformer."""


class _Round:
    """The optimiser, the schedule and the sums of one training."""

    def __init__(
        self,
        model: nn.Module,
        config: LocalTraining,
        device: torch.device,
        num_examples: int,
        schedule: tuple[int, int],
    ) -> None:
        passed_rounds, num_rounds = schedule
        self.model, self.config, self.device = model, config, device
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.base = (
            [parameter.detach().clone() for parameter in self.parameters] if config.proximal_mu else []
        )
        self.optimizer = build_optimizer(model, config)
        self.steps_per_round = config.epochs * num_batches(num_examples, config.batch_size)
        self.first_step = passed_rounds * self.steps_per_round
        self.planned_steps = num_rounds * self.steps_per_round
        self.steps = 0
        self.seen = 0
        self.loss_sum = 0.0

    @property
    def mean_loss(self) -> float:
        return self.loss_sum / self.seen

    def step(self, ids: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> float:
        """Forward, backward, clip, step on ids and mask [b, s] and targets [b]; the batch's mean loss."""
        try:
            loss, norm = self._gradients(ids.to(self.device), mask.to(self.device), targets.to(self.device))
            self._clip(norm)
            factor = rate_factor(
                self.first_step + self.steps,
                self.planned_steps,
                warmup_ratio=self.config.warmup_ratio,
                decay=self.config.decay,
            )
            set_learning_rate(self.optimizer, self.config.learning_rate * factor)
            self.optimizer.step()
        except torch.OutOfMemoryError:
            raise TrainingFailed(
                f"A batch of {len(targets)} texts does not fit into memory",
                fix="lower local.batch_size or model.max_length",
                code="training-out-of-memory",
            ) from None
        self.optimizer.zero_grad()
        self.steps += 1
        self.seen += len(targets)
        self.loss_sum += loss * len(targets)
        return loss

    def _gradients(self, ids: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        """Fill the gradients; returns the loss and the gradients' L2 norm."""
        rows = len(targets) if self.device.type == "cuda" else max(1, CPU_TOKENS // ids.shape[1])
        split = (torch.split(tensor, rows) for tensor in (ids, mask, targets))
        parts = [
            self._backward(part_ids, part_mask, part_targets, len(targets))
            for part_ids, part_mask, part_targets in zip(*split, strict=True)
        ]
        loss = torch.stack(parts).sum()
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if self.base:
            self._add_proximal_gradients()
        norm = nn.utils.get_total_norm(gradients)
        # Both numbers in one transfer: each one stalls a GPU.
        loss_value, norm_value = torch.stack([loss, norm]).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            raise TrainingFailed(
                f"The loss or its gradient is not finite in step {self.steps + 1} of {self.steps_per_round}",
                fix="lower local.learning_rate",
                code="training-not-finite",
            )
        return loss_value, norm_value

    def _backward(
        self, ids: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor, batch_size: int
    ) -> torch.Tensor:
        """Add a part of a batch to the gradients; its share of the batch's mean loss."""
        with autocast(self.config.precision, self.device):
            logits = self.model(input_ids=ids, attention_mask=mask).logits
        loss = functional.cross_entropy(logits.float(), targets, reduction="sum") / batch_size
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _add_proximal_gradients(self) -> None:
        with torch.no_grad():
            for parameter, base in zip(self.parameters, self.base, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - base, alpha=self.config.proximal_mu)

    def _clip(self, norm: float) -> None:
        """Scale the gradients down to `max_grad_norm`; most steps need no pass over them at all."""
        if norm > self.config.max_grad_norm:
            gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            torch._foreach_mul_(gradients, self.config.max_grad_norm / norm)


def _check(model: Any, examples: EncodedTexts, labels: Sequence[int], table: str) -> None:
    if not len(examples):
        raise TrainingFailed(
            f"The {table} holds no text to train on",
            fix="give it at least one row with a text and a label",
            code="training-no-examples",
        )
    classes = model.config.num_labels
    if len(labels) != len(examples) or min(labels) < 0 or max(labels) >= classes:
        raise TrainingFailed(
            f"The labels do not fit {len(examples)} texts and {classes} classes",
            fix="prepare the data again",
            code="training-labels",
        )
