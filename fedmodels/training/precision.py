"""Where and in which number format a training computes: chosen once, from what the hardware has."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "float32", "tf32", "bfloat16"]


def pick_device() -> torch.device:
    """The current CUDA device when there is one, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively; emulation would be slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass: bf16 autocast, or nothing for fp32.

    `auto` takes bfloat16 only on a processor that has it: a GPU multiplies fp32 quickly by itself, see
    `quick_products`. Weights, gradients and optimiser states stay fp32 either way.
    """
    if precision == "bfloat16" or (
        precision == "auto" and device.type == "cpu" and has_fast_bfloat16(device)
    ):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


@contextmanager
def quick_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Matrix products in TF32 on a GPU that has it: fp32 factors rounded to 10 bits, sums in fp32.

    Autocast has a kernel of its own for each cast, a third more of them in a transformer, and starting
    kernels is what takes the time there: from MiniLM to 380 million parameters, with texts of 19 and of 100
    tokens, TF32 was as fast or faster in every measured case. `bfloat16` halves activations, for what does
    not fit.
    """
    if device.type != "cuda" or precision not in {"auto", "tf32"}:
        yield
        return
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    products.fp32_precision = "tf32"
    try:
        yield
    finally:
        products.fp32_precision = before


@contextmanager
def attention_for_any_length(device: torch.device) -> Iterator[None]:
    """Attention on a GPU without cuDNN, which builds a kernel for each shape that it meets.

    With texts of all lengths nearly each batch has a new shape: on an H100 the first epoch of MiniLM took
    363 ms a step with cuDNN's attention and 16 ms without, and later epochs gained nothing from it.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
