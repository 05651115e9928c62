"""bfloat16 as torch has it; norms as float64 has them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmodels.parameters.elements import from_float32, squared_norm, to_float32

AWKWARD = np.array(
    [0.0, -0.0, 1.0, 1.00390625, 1.01171875, -3.3895314e38, 1e-45, np.inf, -np.inf], np.float32
)


def torch_bf16(values: np.ndarray) -> bytes:
    return torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().tobytes()


def test_bf16_by_hand():
    # 1.0 is 0x3F800000; 1 + 2^-8 lies halfway between two bf16 values and goes to the even one.
    assert from_float32(np.array([1.0, 1.00390625], np.float32), "BF16") == b"\x80\x3f\x80\x3f"


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=50))
def test_narrowing_is_torchs(values):
    array = np.array(values, np.float32)
    assert from_float32(array, "BF16") == torch_bf16(array)


def test_narrowing_awkward_values_is_torchs_and_keeps_nan():
    assert from_float32(AWKWARD, "BF16") == torch_bf16(AWKWARD)
    scratch = np.empty(2, np.float32)
    nans = np.array([np.nan, -np.nan], np.float32)
    assert np.isnan(to_float32(from_float32(nans, "BF16"), "BF16", scratch)).all()


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_what_was_stored_comes_back_exactly(dtype):
    values = np.array([0.5, -2.0, 0.15625, 3.0], np.float32)
    assert to_float32(from_float32(values, dtype), dtype, np.empty(9, np.float32)).tolist() == values.tolist()


def test_every_bf16_widens_to_itself():
    halves = np.arange(2**16, dtype=np.uint32).astype("<u2")
    wide = to_float32(halves.tobytes(), "BF16", np.empty(2**16, np.float32))
    theirs = torch.from_numpy(halves.view(np.int16)).view(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(wide, theirs, equal_nan=True)


def test_norm_by_hand_and_against_float64():
    assert squared_norm(np.array([3.0, 4.0], np.float32)) == 25.0
    values = np.random.default_rng(0).normal(0, 1e-3, 1_000_003).astype(np.float32)
    exact = float(np.square(values.astype(np.float64)).sum())
    assert math.isclose(squared_norm(values), exact, rel_tol=1e-5)
    assert squared_norm(np.empty(0, np.float32)) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_norm_of_a_non_finite_element_is_not_finite(bad):
    values = np.ones(100_000, np.float32)
    values[99_999] = bad
    assert not math.isfinite(squared_norm(values))
