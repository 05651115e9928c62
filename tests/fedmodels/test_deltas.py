import hashlib
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmodels.classifier import parameter_specs, read_parameters, write_parameters
from fedmodels.deltas import write_update
from fedmodels.errors import IntegrityError, TrainingFailed


@pytest.fixture
def pair(tmp_path):
    """Base, trained and out; the delta is a: (3, 0), b: (0, 4), so its norm is 5."""
    base = {"b": torch.tensor([1.0, 1.0]), "a": torch.tensor([[0.5], [0.5]])}
    trained = {"b": torch.tensor([1.0, 5.0]), "a": torch.tensor([[3.5], [0.5]])}
    save_file(base, tmp_path / "base")
    save_file(trained, tmp_path / "trained")
    return tmp_path / "base", tmp_path / "trained", tmp_path / "out"


def test_delta_by_hand(pair):
    facts = write_update(*pair, clipping_norm=None, dtype="float32")
    stored = load_file(pair[2])
    assert {name: tensor.tolist() for name, tensor in stored.items()} == {
        "a": [[3.0], [0.0]],
        "b": [0.0, 4.0],
    }
    assert facts.norm == 5.0
    data = pair[2].read_bytes()
    assert facts.sha256 == hashlib.sha256(data).hexdigest()


def test_a_norm_above_the_bound_scales_the_whole_delta(pair):
    facts = write_update(*pair, clipping_norm=2.5, dtype="float32")
    stored = load_file(pair[2])
    assert stored["a"].flatten().tolist() == [1.5, 0.0]
    assert stored["b"].tolist() == [0.0, 2.0]
    assert facts.norm == 2.5


@pytest.mark.parametrize("bound", [5.0, 6.0])
def test_a_norm_within_the_bound_is_left_alone(pair, bound):
    facts = write_update(*pair, clipping_norm=bound, dtype="float32")
    assert facts.norm == 5.0


def test_bfloat16_rounds_to_nearest_even(tmp_path):
    # bfloat16 has 8 significant bits, so from 256 on it knows even numbers only, and from 512 multiples of 4.
    values = [257.0, 259.0, 258.0, 1.0 + 2.0**-9, 514.0, 518.0, 515.0, -257.0]
    save_file({"w": torch.zeros(8)}, tmp_path / "base")
    save_file({"w": torch.tensor(values)}, tmp_path / "trained")
    write_update(
        tmp_path / "base", tmp_path / "trained", tmp_path / "out", clipping_norm=None, dtype="bfloat16"
    )
    stored = load_file(tmp_path / "out")["w"]
    assert stored.dtype is torch.bfloat16
    assert stored.float().tolist() == [256.0, 260.0, 258.0, 1.0, 512.0, 520.0, 516.0, -256.0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_after_the_cast(tmp_path, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    save_file({"w": torch.randn(3000, generator=generator)}, tmp_path / "base")
    save_file({"w": torch.randn(3000, generator=generator)}, tmp_path / "trained")
    for bound in (1.0, 10.0):
        facts = write_update(
            tmp_path / "base", tmp_path / "trained", tmp_path / "out", clipping_norm=bound, dtype=dtype
        )
        norm = float(load_file(tmp_path / "out")["w"].double().norm())
        assert facts.norm == pytest.approx(norm, rel=1e-9)
        assert 0.98 * bound < norm <= bound * (1 + 1e-6)


def test_base_plus_delta_is_the_trained_model(tiny, tmp_path):
    model = tiny[0]
    write_parameters(model, tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    write_parameters(model, tmp_path / "trained")
    facts = write_update(
        tmp_path / "base", tmp_path / "trained", tmp_path / "out", clipping_norm=None, dtype="bfloat16"
    )
    base, trained, delta = (load_file(tmp_path / name) for name in ("base", "trained", "out"))
    assert all(torch.allclose(base[name] + delta[name].float(), trained[name], atol=1e-4) for name in base)
    count = sum(tensor.numel() for tensor in base.values())
    assert facts.norm == pytest.approx(0.01 * math.sqrt(count), rel=1e-2)  # bfloat16 keeps 8 bits
    assert {tensor.dtype for tensor in delta.values()} == {torch.bfloat16}


def test_tensors_lie_in_the_order_of_the_plan(tiny, tmp_path):
    from safetensors import safe_open

    write_parameters(tiny[0], tmp_path / "base")
    write_update(tmp_path / "base", tmp_path / "base", tmp_path / "out", clipping_norm=1.0, dtype="bfloat16")
    with safe_open(tmp_path / "out", framework="pt") as file:
        stored = list(file.offset_keys())
    assert stored == [spec.name for spec in parameter_specs(tiny[0])]


def test_no_training_is_a_delta_of_zeros(pair):
    facts = write_update(pair[0], pair[0], pair[2], clipping_norm=1.0, dtype="bfloat16")
    assert facts.norm == 0.0
    assert not any(tensor.any() for tensor in load_file(pair[2]).values())


def test_equal_inputs_give_equal_bytes_and_inputs_are_not_changed(pair):
    before = pair[0].read_bytes(), pair[1].read_bytes()
    hashes = {write_update(*pair, clipping_norm=1.0, dtype="bfloat16").sha256 for _ in range(3)}
    assert len(hashes) == 1
    assert (pair[0].read_bytes(), pair[1].read_bytes()) == before


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_and_nothing_is_written(pair, bad):
    save_file({"a": torch.tensor([[bad], [0.0]]), "b": torch.zeros(2)}, pair[1])
    with pytest.raises(TrainingFailed) as caught:
        write_update(*pair, clipping_norm=1.0, dtype="bfloat16")
    assert caught.value.code == "training-not-finite"
    assert not pair[2].exists()


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.zeros(2, 1)},
        {"a": torch.zeros(2), "b": torch.zeros(2)},
        {"a": torch.zeros(2, 1), "b": torch.zeros(2).half()},
    ],
    ids=["missing", "shape", "dtype"],
)
def test_files_of_different_tensors_are_refused(pair, other):
    save_file(other, pair[1])
    with pytest.raises(IntegrityError):
        write_update(*pair, clipping_norm=None, dtype="float32")


def test_damaged_file_is_refused(pair):
    pair[1].write_bytes(pair[1].read_bytes()[:-3])
    with pytest.raises(IntegrityError, match="damaged"):
        write_update(*pair, clipping_norm=None, dtype="float32")


def test_the_trained_parameters_can_be_read_into_a_model(tiny, tmp_path):
    write_parameters(tiny[0], tmp_path / "weights")
    read_parameters(tiny[0], tmp_path / "weights")
