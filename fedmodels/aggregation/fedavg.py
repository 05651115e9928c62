"""Federated averaging, streamed: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks
from Decentralized Data", algorithm 1.

    model = base + sum over parties k of w_k delta_k,      w_k = n_k / sum n (or 1/K)

The paper averages the parties' models; with weights that sum to 1 the average of `base + delta_k` is the
same, and deltas can travel in bfloat16 and be clipped. All files are read in lock step, a chunk of each at
a time, and summed in fp32 in the order given: the result depends neither on the length of the chunks nor
on the machine's instruction set, and memory neither on the number of parties nor on the model's size.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fedmodels.errors import InputError, IntegrityError, RunError, UpdateRefused
from fedmodels.parameters.elements import Float32, squared_norm, to_float32
from fedmodels.parameters.safetensors_file import (
    element_bytes,
    encode_header,
    num_elements,
    read_header,
    with_dtype,
)
from fedmodels.parameters.stream import (
    CHUNK_BYTES,
    ChunkReader,
    HashingReader,
    HashingWriter,
    atomic_file,
)
from fedmodels.protocol.messages import TensorSpec

NOT_FINITE = "aggregate-not-finite"
"""Code of an average that is no model: each update is finite, and their sum is not."""
_WEIGHT_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Source:
    """A file to read: what to call it in an error, its bytes, and the hash that they must have."""

    name: str
    reader: ChunkReader
    sha256: str


@dataclass(frozen=True)
class WeightedDelta:
    """One party's update and its share of the average."""

    source: Source
    weight: float


def fedavg_weights(
    num_examples: Mapping[str, int], weighting: Literal["examples", "equal"]
) -> dict[str, float]:
    """Each party's share of the average, sorted by party; the shares sum to 1.

    Args:
        num_examples: party to the number of examples it trained on, each at least 1.
        weighting: `examples` weights by them, `equal` gives every party the same share.

    Raises:
        InputError: no party, or one without examples: there is nothing to average.
    """
    counts = {party: num_examples[party] for party in sorted(num_examples)}
    if not counts or min(counts.values()) < 1:
        raise InputError(
            f"The average needs parties with at least one example each, got {counts}",
            fix="leave out the parties without examples",
            code="weights-invalid",
        )
    if weighting == "equal":
        return dict.fromkeys(counts, 1.0 / len(counts))
    total = sum(counts.values())
    return {party: count / total for party, count in counts.items()}


def fedavg(
    schema: Sequence[TensorSpec],
    base: Source,
    deltas: Sequence[WeightedDelta],
    delta_dtype: str,
    destination: Path,
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> str:
    """Write `base + sum w_k delta_k` to `destination`, whole or not at all; return the file's SHA-256.

    Args:
        schema: the model's parameters in the plan's order, all F32.
        base: the model that the deltas are relative to.
        deltas: in the order in which they are added; weights in [0, 1] that sum to 1.
        delta_dtype: safetensors dtype of every delta, F32 or BF16.
        destination: a file in an existing folder; replaced when it exists.
        chunk_bytes: fp32 bytes that are held of each file at a time.

    Raises:
        IntegrityError: a file differs from its hash, or its header from the schema; names the file.
        InputError: no deltas, or weights that do not sum to 1.
        RunError: the sum left the range of fp32 (`NOT_FINITE`), or the disk is full.
    """
    _check_weights(deltas)
    base_stream = _open(base, schema)
    streams = [(_open(delta.source, with_dtype(schema, delta_dtype)), delta) for delta in deltas]
    with atomic_file(destination) as output:
        output.write(encode_header(schema))
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below, and refused
            _sum_chunks(schema, (base_stream, base), streams, delta_dtype, output, chunk_bytes)
        for reader, source in [(base_stream, base), *((reader, delta.source) for reader, delta in streams)]:
            _check_end(reader, source)
    return output.sha256


def _sum_chunks(
    schema: Sequence[TensorSpec],
    base: tuple[HashingReader, Source],
    streams: Sequence[tuple[HashingReader, WeightedDelta]],
    delta_dtype: str,
    output: HashingWriter,
    chunk_bytes: int,
) -> None:
    """Copy the base to `output` with the weighted deltas added."""
    chunk = max(1, chunk_bytes // element_bytes("F32"))
    change, scratch = np.empty(chunk, np.float32), np.empty(chunk, np.float32)
    for count in _chunk_lengths(num_elements(schema), chunk):
        mean = change[:count]
        weighted = scratch[:count]
        mean.fill(0.0)
        for reader, delta in streams:
            values = _read_elements(reader, delta.source, delta_dtype, count, scratch)
            np.multiply(values, np.float32(delta.weight), out=weighted)
            np.add(mean, weighted, out=mean)
        model = np.add(mean, _read_elements(*base, "F32", count, scratch), out=mean)
        _check_finite(model)
        output.write(model.data)


def _check_weights(deltas: Sequence[WeightedDelta]) -> None:
    total = math.fsum(delta.weight for delta in deltas)
    if not deltas or abs(total - 1.0) > _WEIGHT_SUM_TOLERANCE or min(d.weight for d in deltas) < 0:
        raise InputError(
            f"The weights of {len(deltas)} updates sum to {total:g}, and a mean needs shares that sum to 1",
            fix="take them from fedavg_weights",
            code="weights-invalid",
        )


def _chunk_lengths(total: int, chunk: int) -> Iterator[int]:
    """Lengths that sum to `total`, all but the last equal to `chunk`."""
    for start in range(0, total, chunk):
        yield min(chunk, total - start)


def _open(source: Source, schema: Sequence[TensorSpec]) -> HashingReader:
    reader = HashingReader(source.reader)
    try:
        read_header(reader, schema)
    except UpdateRefused as fault:
        raise _damaged(source.name, fault.sentence) from None
    return reader


def _read_elements(reader: HashingReader, source: Source, dtype: str, count: int, out: Float32) -> Float32:
    wanted = count * element_bytes(dtype)
    data = reader.read(wanted)
    if len(data) < wanted:
        raise _damaged(source.name, f"it ends after {reader.count} bytes")
    return to_float32(data, dtype, out)


def _check_end(reader: HashingReader, source: Source) -> None:
    if reader.read(1):
        raise _damaged(source.name, "it goes on behind the last tensor")
    if reader.sha256 != source.sha256:
        raise _damaged(source.name, f"its SHA-256 is {reader.sha256}, not {source.sha256}")


def _check_finite(model: Float32) -> None:
    # The dot product is cheap and non-finite whenever an element is; only then every element is looked at.
    if not math.isfinite(squared_norm(model)) and not np.isfinite(model).all():
        raise RunError(
            "The aggregate is not finite: the weighted sum left the range of float32",
            fix="set update.clipping_norm in the recipe and start a new run",
            code=NOT_FINITE,
        )


def _damaged(name: str, how: str) -> IntegrityError:
    return IntegrityError(
        f"The bytes of {name} are not those that were admitted: {how}",
        fix="resume the run from its last good model",
    )
