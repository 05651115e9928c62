"""The update of a party: trained weights minus the round's base, clipped, cast and written.

Tensor by tensor from memory-mapped files, so that memory is that of the largest tensor and not of the
model. The same inputs give the same bytes.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from fedmodels.errors import IntegrityError, TrainingFailed
from fedmodels.parameters.safetensors_file import encode_header, with_dtype
from fedmodels.parameters.stream import atomic_file
from fedmodels.protocol.messages import TensorSpec

_STORED: dict[str, tuple[str, torch.dtype]] = {
    "float32": ("F32", torch.float32),
    "bfloat16": ("BF16", torch.bfloat16),
}
_BFLOAT16_MARGIN = 1.0 + 2.0**-8
"""Rounding to bfloat16 changes an element by at most one part in 2^9, and so the norm."""


@dataclass(frozen=True)
class UpdateFacts:
    """What was written.

    Args:
        norm: L2 norm of the whole delta as it travels, after clipping and cast; never above `clipping_norm`.
        sha256: hash of the file, 64 hexadecimal digits.
    """

    norm: float
    sha256: str


def write_update(
    base: Path,
    trained: Path,
    out: Path,
    *,
    clipping_norm: float | None,
    dtype: Literal["float32", "bfloat16"],
) -> UpdateFacts:
    """Write `trained` - `base` to `out` as safetensors, tensors in the order of their names.

    The subtraction is fp32, norms are summed in fp64 over all tensors together. Is the norm above
    `clipping_norm`, then every element is scaled down by the same factor (McMahan et al. 2018, "Learning
    differentially private recurrent language models", flat clipping). Unlike there, the bound also holds
    after the cast: for bfloat16 the delta is scaled to just below it. The cast rounds to nearest even.

    Args:
        base: parameters of the announced model, F32.
        trained: parameters after training, F32, of the same schema.
        out: the file to write; it appears whole or not at all.
        clipping_norm: L2 bound, or `None` to leave the norm as it is.
        dtype: how elements travel.

    Raises:
        IntegrityError: the two files do not hold the same tensors.
        TrainingFailed: `training-not-finite`: a weight is NaN or infinite.
    """
    with ExitStack() as stack:
        pair = _Pair(stack, base, trained)
        if clipping_norm is None:
            return _write(pair, out, 1.0, dtype)
        norm = _finite(math.sqrt(math.fsum(_squared_norm(delta) for delta in pair.deltas())))
        margin = _BFLOAT16_MARGIN if dtype == "bfloat16" else 1.0
        return _write(pair, out, _scale(norm, margin, clipping_norm), dtype)


def _write(pair: "_Pair", out: Path, scale: float, dtype: str) -> UpdateFacts:
    stored, torch_dtype = _STORED[dtype]
    squares = []
    with atomic_file(out) as target:
        target.write(encode_header(with_dtype(pair.schema, stored)))
        for delta in pair.deltas():
            cast = delta.mul_(scale).to(torch_dtype) if scale < 1.0 else delta.to(torch_dtype)
            squares.append(_squared_norm(cast))
            target.write(cast.reshape(-1).view(torch.uint8).numpy().data)
        norm = _finite(math.sqrt(math.fsum(squares)))
    return UpdateFacts(norm, target.sha256)


def _finite(norm: float) -> float:
    if not math.isfinite(norm):
        raise TrainingFailed(
            "The trained weights are not finite numbers",
            fix="lower local.learning_rate",
            code="training-not-finite",
        )
    return norm


def _scale(norm: float, margin: float, clipping_norm: float) -> float:
    if norm * margin <= clipping_norm:
        return 1.0
    return clipping_norm / (norm * margin)


def _squared_norm(tensor: torch.Tensor) -> float:
    # The float64 copy of a block fits the processor's cache, whatever the length of the tensor.
    blocks = torch.split(tensor.reshape(-1), 1 << 17)
    return math.fsum(float(torch.dot(wide, wide)) for wide in (block.double() for block in blocks))


class _Pair:
    """Two files of parameters, opened side by side."""

    def __init__(self, stack: ExitStack, base: Path, trained: Path) -> None:
        self.base, self.trained = (_open(stack, path) for path in (base, trained))
        self.schema = _schema(self.base)
        if self.schema != _schema(self.trained):
            raise _damaged("The trained parameters and their base hold different tensors")

    def deltas(self) -> Iterator[torch.Tensor]:
        """fp32 differences, one at a time, in the schema's order."""
        for spec in self.schema:
            # Not in place: what get_tensor returns may be the mapped file itself.
            yield self.trained.get_tensor(spec.name) - self.base.get_tensor(spec.name)


def _open(stack: ExitStack, path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return stack.enter_context(safe_open(path, framework="pt"))
    except SafetensorError:
        raise _damaged("A file of parameters is no safetensors file or is damaged") from None


def _schema(file: Any) -> Sequence[TensorSpec]:
    slices = {name: file.get_slice(name) for name in sorted(file.keys())}
    specs = tuple(
        TensorSpec(name=name, dtype=part.get_dtype(), shape=tuple(part.get_shape()))
        for name, part in slices.items()
    )
    if any(spec.dtype != "F32" for spec in specs):
        raise _damaged("A file of parameters holds another dtype than F32")
    return specs


def _damaged(sentence: str) -> IntegrityError:
    return IntegrityError(sentence, fix="fetch the announced model again", code="parameters-schema")
