import pytest
import torch

from fedmodels.training.precision import (
    attention_for_any_length,
    autocast,
    has_fast_bfloat16,
    pick_device,
    quick_products,
)

CPU = torch.device("cpu")


def product_dtype(precision):
    with autocast(precision, CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_named_precisions_are_obeyed():
    assert product_dtype("float32") is torch.float32
    assert product_dtype("bfloat16") is torch.bfloat16


def test_auto_takes_bfloat16_only_where_the_hardware_has_it():
    assert product_dtype("auto") is (torch.bfloat16 if has_fast_bfloat16(CPU) else torch.float32)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({}, False),
    ],
)
def test_what_counts_as_bfloat16_on_a_cpu(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_fast_bfloat16(CPU) is expected


def test_auto_casts_nothing_on_a_gpu():
    with autocast("auto", torch.device("cuda", 0)):
        assert not torch.is_autocast_enabled("cuda")


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("auto", "cuda", "tf32"),
        ("tf32", "cuda", "tf32"),
        ("float32", "cuda", None),
        ("bfloat16", "cuda", None),
        ("tf32", "cpu", None),
    ],
)
def test_products_are_shortened_on_a_gpu_while_it_trains(precision, device, expected):
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    with quick_products(precision, torch.device(device, 0)):
        assert products.fp32_precision == (expected or before)
    assert products.fp32_precision == before


def test_device_is_the_gpu_when_there_is_one():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_attention_builds_no_kernel_for_each_length_on_a_gpu_while_it_trains():
    before = torch.backends.cuda.cudnn_sdp_enabled()
    with attention_for_any_length(torch.device("cuda", 0)):
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.cudnn_sdp_enabled() is before
    with attention_for_any_length(CPU):
        assert torch.backends.cuda.cudnn_sdp_enabled() is before
