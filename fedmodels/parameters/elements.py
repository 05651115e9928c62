"""Elements of float tensors as bytes: read as fp32, written as fp32 or bf16. Needs only numpy.

bfloat16 is the upper half of a float32, so widening it is exact; narrowing rounds to nearest, ties to
even, as torch does.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
DTYPES: Mapping[str, str] = {"float32": "F32", "bfloat16": "BF16"}
"""A recipe's word for a dtype to that of safetensors."""


def to_float32(data: bytes | memoryview, dtype: str, scratch: Float32) -> Float32:
    """Decode `data`, little-endian elements of safetensors dtype F32 or BF16, n of them.

    Returns:
        The n elements: for F32 a read-only view of `data`, for BF16 the overwritten front of `scratch`,
        which must hold at least n.
    """
    if dtype == "F32":
        return np.frombuffer(data, dtype="<f4")
    halves = np.frombuffer(data, dtype="<u2")
    values = scratch[: halves.size]
    np.left_shift(halves, 16, out=values.view(np.uint32), dtype=np.uint32)
    return values


def from_float32(values: Float32, dtype: str) -> bytes:
    """Encode fp32 elements as safetensors dtype F32 or BF16, little-endian. NaN stays NaN."""
    if dtype == "F32":
        return values.astype("<f4", copy=False).tobytes()
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet_nan = np.uint32(0x7FC0)
    return np.where(np.isnan(values), quiet_nan, rounded).astype("<u2").tobytes()


def squared_norm(values: Float32, block: int = 1 << 16) -> float:
    """Sum of squares in float64, from fp32 sums over blocks: relative error below 1e-5 at any length.

    Infinite or NaN when an element is, and infinite when a square overflows fp32 (beyond 1.8e19).
    """
    blocks = (values[start : start + block] for start in range(0, values.size, block))
    return float(sum(float(np.dot(part, part)) for part in blocks))
