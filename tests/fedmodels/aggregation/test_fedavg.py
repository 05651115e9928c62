"""FedAvg against hand-sized numbers and against float64; its laws; damaged files named."""

import hashlib
import io
import tracemalloc

import numpy as np
import pytest

from fedmodels.aggregation.fedavg import Source, WeightedDelta, fedavg, fedavg_weights
from fedmodels.errors import InputError, IntegrityError, RunError
from fedmodels.parameters.elements import from_float32, to_float32
from fedmodels.parameters.safetensors_file import encode_header, num_elements, with_dtype
from fedmodels.protocol.messages import TensorSpec

SCHEMA = (
    TensorSpec(name="bias", dtype="F32", shape=(3,)),
    TensorSpec(name="weight", dtype="F32", shape=(7, 11)),
)
SIZE = num_elements(SCHEMA)


def encoded(values: np.ndarray, dtype: str = "F32", schema=SCHEMA) -> bytes:
    return encode_header(with_dtype(schema, dtype)) + from_float32(values.astype(np.float32), dtype)


def source(name: str, data: bytes) -> Source:
    return Source(name, io.BytesIO(data), hashlib.sha256(data).hexdigest())


def elements(path, schema=SCHEMA) -> np.ndarray:
    data = path.read_bytes()[len(encode_header(schema)) :]
    return to_float32(data, "F32", np.empty(0, np.float32))


def run(tmp_path, base, deltas, weights, dtype="F32", chunk_bytes=64):
    path = tmp_path / "model.safetensors"
    updates = [
        WeightedDelta(source(f"shop-{number}", encoded(delta, dtype)), weight)
        for number, (delta, weight) in enumerate(zip(deltas, weights, strict=True))
    ]
    sha256 = fedavg(SCHEMA, source("base", encoded(base)), updates, dtype, path, chunk_bytes=chunk_bytes)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    return elements(path)


def random_deltas(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.01, SIZE).astype(np.float32) for _ in range(count)]


def test_weights_by_hand():
    assert fedavg_weights({"b": 30, "a": 10}, "examples") == {"a": 0.25, "b": 0.75}
    assert fedavg_weights({"b": 30, "a": 10}, "equal") == {"a": 0.5, "b": 0.5}
    assert list(fedavg_weights({"b": 1, "a": 1, "c": 1}, "examples")) == ["a", "b", "c"]


@pytest.mark.parametrize("counts", [{}, {"a": 10, "b": 0}, {"a": -1}])
def test_nothing_to_average_is_an_error_and_no_division_by_zero(counts):
    for weighting in ("examples", "equal"):
        with pytest.raises(InputError, match="at least one example"):
            fedavg_weights(counts, weighting)


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_an_average_by_hand(tmp_path, dtype):
    base = np.full(SIZE, 10.0)
    model = run(tmp_path, base, [np.full(SIZE, 1.0), np.full(SIZE, 5.0)], [0.75, 0.25], dtype)
    assert model.tolist() == [12.0] * SIZE  # 10 + 0.75 * 1 + 0.25 * 5


def test_it_is_the_papers_average_of_models(tmp_path):
    base, deltas = random_deltas(1, seed=1)[0], random_deltas(5)
    weights = list(fedavg_weights({f"p{n}": n + 1 for n in range(5)}, "examples").values())
    model = run(tmp_path, base, deltas, weights)
    exact = sum(w * (base.astype(np.float64) + d) for w, d in zip(weights, deltas, strict=True))
    assert np.abs(model - exact).max() < 1e-8


def test_identity_zero_deltas_leave_every_bit_of_the_base(tmp_path):
    base = random_deltas(1)[0]
    model = run(tmp_path, base, [np.zeros(SIZE)] * 3, [1 / 3] * 3)
    assert np.array_equal(model, base)
    assert (tmp_path / "model.safetensors").read_bytes() == encoded(base)


def test_one_party_alone_gives_its_own_model(tmp_path):
    base, delta = random_deltas(2)
    model = run(tmp_path, base, [delta], [1.0])
    assert np.array_equal(model, base + delta)


def test_equal_parties_give_the_model_of_each(tmp_path):
    base, delta = random_deltas(2)
    model = run(tmp_path, base, [delta] * 4, [0.25] * 4)
    assert np.array_equal(model, base + delta)


def test_scale_doubling_every_delta_doubles_the_change(tmp_path):
    deltas, zero = random_deltas(3), np.zeros(SIZE)
    once = run(tmp_path, zero, deltas, [0.5, 0.25, 0.25])
    twice = run(tmp_path, zero, [2 * delta for delta in deltas], [0.5, 0.25, 0.25])
    assert np.array_equal(twice, 2 * once)


def test_bounds_no_element_leaves_the_range_of_the_parties(tmp_path):
    deltas = random_deltas(4)
    model = run(tmp_path, np.zeros(SIZE), deltas, [0.25] * 4)
    assert (model <= np.max(deltas, axis=0) + 1e-9).all()
    assert (model >= np.min(deltas, axis=0) - 1e-9).all()


def test_permutation_changes_at_most_the_last_bits(tmp_path):
    base, deltas, weights = random_deltas(1, seed=2)[0], random_deltas(4), [0.1, 0.2, 0.3, 0.4]
    there = run(tmp_path, base, deltas, weights)
    back = run(tmp_path, base, deltas[::-1], weights[::-1])
    assert np.abs(there - back).max() < 1e-8


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_the_bytes_do_not_depend_on_the_chunk(tmp_path, dtype):
    base, deltas = random_deltas(1, seed=3)[0], random_deltas(3)
    models = {
        run(tmp_path, base, deltas, [0.2, 0.3, 0.5], dtype, chunk_bytes=chunk).tobytes()
        for chunk in (1, 4, 12, 36, 64, 4 * SIZE - 4, 4 * SIZE, 1 << 20)
    }
    assert len(models) == 1


def test_bf16_deltas_are_summed_in_fp32(tmp_path):
    # 256 + 1 is not a bf16 number: a sum kept in bf16 would lose every one of the small updates.
    deltas = [np.full(SIZE, 256.0), *[np.full(SIZE, 1.0)] * 7]
    model = run(tmp_path, np.zeros(SIZE), deltas, [0.125] * 8, "BF16")
    assert model.tolist() == [(256 + 7) / 8] * SIZE


def damaged(kind: str, data: bytes) -> bytes:
    flipped = bytearray(data)
    flipped[-5] ^= 1
    return {
        "a bit flipped": bytes(flipped),
        "cut short": data[:-4],
        "longer": data + b"\0",
        "of another schema": encoded(np.zeros(3), schema=SCHEMA[:1]),
        "empty": b"",
    }[kind]


@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("kind", ["a bit flipped", "cut short", "longer", "of another schema", "empty"])
def test_a_damaged_file_is_named_and_no_model_appears(tmp_path, victim, kind):
    path = tmp_path / "model.safetensors"
    sources = [source(name, encoded(random_deltas(1)[0])) for name in ("base", "shop-a", "shop-b")]
    good = sources[victim]
    sources[victim] = Source(good.name, io.BytesIO(damaged(kind, good.reader.read())), good.sha256)
    updates = [WeightedDelta(delta, 0.5) for delta in sources[1:]]
    with pytest.raises(IntegrityError, match=f"The bytes of {good.name} are not those"):
        fedavg(SCHEMA, sources[0], updates, "F32", path, chunk_bytes=64)
    assert list(tmp_path.iterdir()) == []


def test_a_sum_beyond_float32_is_an_error(tmp_path):
    huge = np.full(SIZE, 3e38)
    with pytest.raises(RunError, match="not finite") as error:
        run(tmp_path, huge, [huge], [1.0])
    assert error.value.code == "aggregate-not-finite"
    assert list(tmp_path.iterdir()) == []


def test_large_but_finite_numbers_pass(tmp_path):
    model = run(tmp_path, np.zeros(SIZE), [np.full(SIZE, 1e30)], [1.0])
    assert np.isfinite(model).all()


@pytest.mark.parametrize("weights", [[0.5, 0.4], [1.0, 1.0], [1.5, -0.5], []])
def test_weights_that_are_no_shares_are_refused(tmp_path, weights):
    with pytest.raises(InputError, match=f"weights of {len(weights)} updates"):
        run(tmp_path, np.zeros(SIZE), random_deltas(len(weights)), weights)


class Zeros:
    """A body of `header` and then zeros, without holding them."""

    def __init__(self, header: bytes, size: int) -> None:
        self.header, self.left = io.BytesIO(header), size

    def read(self, size: int, /) -> bytes:
        if part := self.header.read(size):
            return part
        part, self.left = bytes(min(size, self.left)), max(0, self.left - size)
        return part


@pytest.mark.parametrize(("parties", "rows"), [(2, 1 << 12), (12, 1 << 12), (2, 1 << 14)])
def test_memory_depends_neither_on_parties_nor_on_size(tmp_path, parties, rows):
    schema = (TensorSpec(name="w", dtype="F32", shape=(rows, 1024)),)
    header, size = encode_header(schema), rows * 4096
    digest = hashlib.sha256(header + bytes(size)).hexdigest()
    base = Source("base", Zeros(header, size), digest)
    deltas = [
        WeightedDelta(Source(f"p{n}", Zeros(header, size), digest), 1 / parties) for n in range(parties)
    ]
    tracemalloc.start()
    fedavg(schema, base, deltas, "F32", tmp_path / "model", chunk_bytes=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * (1 << 20)  # 16 or 64 MB a file, but four chunks of 1 MiB at a time
