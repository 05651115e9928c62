"""The safetensors format, read with suspicion and written in one way.

A file is `<u64 little-endian: length of the header><header: JSON><data>`; the header gives each tensor's
dtype, shape and `[begin, end)` within the data. The library refuses holes and overlaps, but it accepts
any names, shapes and dtypes, megabytes of metadata and hundreds of thousands of empty tensors. Here a
header is compared with the plan's parameters before anything of the data is touched. Only numpy-sized
facts are needed: this module imports neither torch nor safetensors.

All files of a run store their tensors in the plan's order, so that files of one dtype can be read in
lock step.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedmodels.errors import InputError, UpdateRefused
from fedmodels.parameters.stream import ChunkReader, read_fully
from fedmodels.protocol.messages import TensorSpec

METADATA_LIMIT = 4096
"""Characters that `__metadata__` may take; nothing is read from it."""
_LENGTH_BYTES = 8
_ELEMENT_BYTES: Mapping[str, int] = {"F32": 4, "BF16": 2}
_LONGEST_DIMENSION = 2**48


class StoredTensor(NamedTuple):
    """One tensor of a file: safetensors dtype, shape, and its `[begin, end)` in bytes of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


Layout = Mapping[str, StoredTensor]


def element_bytes(dtype: str) -> int:
    """Bytes of one element of a safetensors dtype.

    Raises:
        InputError: the dtype is neither F32 nor BF16, the two that fedcart exchanges.
    """
    if dtype in _ELEMENT_BYTES:
        return _ELEMENT_BYTES[dtype]
    raise InputError(
        f"The dtype {dtype!r} cannot be exchanged, only {' and '.join(_ELEMENT_BYTES)}",
        fix="cast the model's parameters to float32",
        code="dtype-unsupported",
    )


def with_dtype(schema: Sequence[TensorSpec], dtype: str) -> tuple[TensorSpec, ...]:
    """The same tensors, all stored as `dtype`: the schema of a delta beside that of the model."""
    return tuple(TensorSpec(name=spec.name, dtype=dtype, shape=spec.shape) for spec in schema)


def num_elements(schema: Sequence[TensorSpec]) -> int:
    """Number of scalars in all tensors together."""
    return sum(math.prod(spec.shape) for spec in schema)


def expected_layout(schema: Sequence[TensorSpec]) -> dict[str, StoredTensor]:
    """Where each tensor lies when all are stored one behind the other, in the schema's order."""
    layout: dict[str, StoredTensor] = {}
    begin = 0
    for spec in schema:
        end = begin + math.prod(spec.shape) * element_bytes(spec.dtype)
        layout[spec.name] = StoredTensor(spec.dtype, spec.shape, begin, end)
        begin = end
    return layout


def data_bytes(schema: Sequence[TensorSpec]) -> int:
    """Length of the data behind the header, in bytes."""
    return sum(math.prod(spec.shape) * element_bytes(spec.dtype) for spec in schema)


def header_limit(schema: Sequence[TensorSpec]) -> int:
    """The most bytes that a header of this schema may take, its length field included.

    Twice our own spelling and the metadata: another writer may use blanks and other escapes.
    """
    return 2 * len(encode_header(schema)) + METADATA_LIMIT


def size_limit(schema: Sequence[TensorSpec]) -> int:
    """The most bytes that a file of this schema may take: known before a byte of it is fetched."""
    return header_limit(schema) + data_bytes(schema)


def encode_header(schema: Sequence[TensorSpec]) -> bytes:
    """Length field and header: the same bytes for the same schema; the data begins 8-byte aligned."""
    tensors = {
        name: {"dtype": stored.dtype, "shape": list(stored.shape), "data_offsets": [stored.begin, stored.end]}
        for name, stored in expected_layout(schema).items()
    }
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def read_header(reader: ChunkReader, schema: Sequence[TensorSpec]) -> int:
    """Consume a file's header and hold it against `schema`; the reader then stands at the data.

    Returns:
        Bytes consumed, the length field included.

    Raises:
        UpdateRefused: `update-header-invalid`, `update-schema-mismatch` or `update-dtype`.
    """
    length_field = read_fully(reader, _LENGTH_BYTES)
    if len(length_field) < _LENGTH_BYTES:
        raise _invalid(f"ends after {len(length_field)} bytes")
    length = int.from_bytes(length_field, "little")
    limit = header_limit(schema) - _LENGTH_BYTES
    if length > limit:
        raise _invalid(f"is said to take {length} bytes, more than the {limit} that this model needs")
    text = read_fully(reader, length)
    if len(text) < length:
        raise _invalid(f"ends after {len(text)} of {length} bytes")
    check_layout(parse_header(text), schema)
    return _LENGTH_BYTES + length


def parse_header(text: bytes) -> Layout:
    """The layout that a header's JSON describes: gapless, without overlap, each span of its tensor's size.

    Raises:
        UpdateRefused: `update-header-invalid`, or `update-dtype` for a dtype that is not exchanged.
    """
    try:
        document = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid("is not JSON with unique keys") from None
    if not isinstance(document, dict):
        raise _invalid("is not a JSON object")
    metadata = document.pop("__metadata__", {})
    if not _is_small_metadata(metadata):
        raise _invalid(
            f"has metadata other than an object of strings, at most {METADATA_LIMIT} characters in all"
        )
    layout = {name: _tensor(name, entry) for name, entry in document.items()}
    end = 0
    for name, stored in sorted(layout.items(), key=lambda item: (item[1].begin, item[1].end)):
        if stored.begin != end:
            raise _invalid(f"has a hole or an overlap of {stored.begin - end} bytes before {_quote(name)}")
        end = stored.end
    return layout


def check_layout(layout: Layout, schema: Sequence[TensorSpec]) -> None:
    """Hold a file's layout against the schema: names, dtypes, shapes and order of storage.

    Raises:
        UpdateRefused: `update-schema-mismatch` or `update-dtype`, naming the first tensor that differs.
    """
    expected = expected_layout(schema)
    if missing := sorted(expected.keys() - layout.keys()):
        raise _mismatch(f"lacks {len(missing)} of {len(expected)} tensors, the first {_quote(missing[0])}")
    if extra := sorted(layout.keys() - expected.keys()):
        raise _mismatch(f"has {len(extra)} unknown tensors, the first {_quote(extra[0])}")
    for name, wanted in expected.items():
        stored = layout[name]
        if stored.dtype != wanted.dtype:
            raise _dtype(name, stored.dtype, f"not {wanted.dtype}")
        if stored.shape != wanted.shape:
            raise _mismatch(f"has {_quote(name)} with shape {stored.shape}, not {wanted.shape}")
        if stored.begin != wanted.begin:
            raise _mismatch(
                f"stores {_quote(name)} at byte {stored.begin}, not {wanted.begin} as the plan orders"
            )


def _tensor(name: str, entry: object) -> StoredTensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _invalid(f"describes {_quote(name)} by other keys than dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise _invalid(f"describes {_quote(name)} by values of the wrong type")
    if dtype not in _ELEMENT_BYTES:
        raise _dtype(name, dtype, f"none of {', '.join(_ELEMENT_BYTES)}")
    begin, end = offsets
    needed = math.prod(shape) * _ELEMENT_BYTES[dtype]
    if end - begin != needed:
        raise _invalid(f"gives {_quote(name)} {end - begin} bytes where its shape needs {needed}")
    return StoredTensor(dtype, tuple(shape), begin, end)


def _is_small_metadata(metadata: object) -> bool:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return False
    return sum(len(key) + len(value) for key, value in metadata.items()) <= METADATA_LIMIT


def _are_sizes(value: object) -> bool:
    # `True` is an int to Python, but not a size.
    return isinstance(value, list) and all(type(n) is int and 0 <= n < _LONGEST_DIMENSION for n in value)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key occurs twice")
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _quote(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}…")


def _invalid(what: str) -> UpdateRefused:
    return UpdateRefused(
        f"The update's header {what}", fix="write it with fedcart's own writer", code="update-header-invalid"
    )


def _mismatch(what: str) -> UpdateRefused:
    return UpdateRefused(
        f"The update {what}", fix="train the model that the plan describes", code="update-schema-mismatch"
    )


def _dtype(name: str, found: str, expected: str) -> UpdateRefused:
    return UpdateRefused(
        f"The update stores {_quote(name)} as {_quote(found)}, {expected}",
        fix="store it as the recipe's update.dtype says",
        code="update-dtype",
    )
