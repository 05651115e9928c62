"""Where and in which number format a training computes: chosen once, from what the hardware has."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


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

    `auto` takes bfloat16 only where the hardware has it. Weights, gradients and optimiser states stay
    fp32 either way.
    """
    if precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


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
