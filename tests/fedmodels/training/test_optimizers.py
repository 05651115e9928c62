import pytest
import torch

from fedmodels.recipe import LocalTraining
from fedmodels.training.optimizers import build_optimizer, set_learning_rate


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_name_decides_the_optimiser(tiny, name, kind):
    optimizer = build_optimizer(tiny[0], LocalTraining(optimizer=name, learning_rate=0.5))
    assert type(optimizer) is kind
    assert {group["lr"] for group in optimizer.param_groups} == {0.5}


def test_decay_spares_biases_norms_and_embeddings(tiny):
    model = tiny[0]
    optimizer = build_optimizer(model, LocalTraining(weight_decay=0.1))
    decayed, spared = ({id(item) for item in group["params"]} for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert decayed | spared == names.keys()
    assert not decayed & spared
    assert all(
        "bias" not in names[key] and "Norm" not in names[key] and "embeddings" not in names[key]
        for key in decayed
    )
    assert "classifier.weight" in {names[key] for key in decayed}


def test_momentum_reaches_sgd(tiny):
    optimizer = build_optimizer(tiny[0], LocalTraining(optimizer="sgd", momentum=0.9))
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}


def test_learning_rate_is_set_for_every_group(tiny):
    optimizer = build_optimizer(tiny[0], LocalTraining())
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
