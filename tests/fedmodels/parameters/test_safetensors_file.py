"""A header is taken only when it is exactly that of the plan; ours is read by the library and by us."""

import io
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fedmodels.errors import InputError, UpdateRefused
from fedmodels.parameters.safetensors_file import (
    data_bytes,
    encode_header,
    expected_layout,
    header_limit,
    read_header,
    size_limit,
    with_dtype,
)
from fedmodels.protocol.messages import TensorSpec

SCHEMA = (
    TensorSpec(name="bias", dtype="F32", shape=(3,)),
    TensorSpec(name="weight", dtype="F32", shape=(2, 3)),
)
GOOD = {
    "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [12, 36]},
}


def file_with(header: object, length: int | None = None) -> io.BytesIO:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return io.BytesIO((len(text) if length is None else length).to_bytes(8, "little") + text)


def changed(name: str, **entry: object) -> dict[str, object]:
    return GOOD | {name: {**GOOD[name], **entry}}


def test_sizes_by_hand():
    assert data_bytes(SCHEMA) == 36
    assert data_bytes(with_dtype(SCHEMA, "BF16")) == 18
    assert expected_layout(with_dtype(SCHEMA, "BF16"))["weight"] == ("BF16", (2, 3), 6, 18)
    assert size_limit(SCHEMA) == header_limit(SCHEMA) + 36


def test_our_header_is_the_same_each_time_and_aligned():
    header = encode_header(SCHEMA)
    assert header == encode_header(SCHEMA)
    assert len(header) % 8 == 0
    assert json.loads(header[8:]) == GOOD


def test_the_library_reads_our_file(tmp_path):
    path = tmp_path / "ours.safetensors"
    bias, weight = torch.tensor([1.0, 2.0, 3.0]), torch.arange(6.0).reshape(2, 3)
    path.write_bytes(encode_header(SCHEMA) + bias.numpy().tobytes() + weight.numpy().tobytes())
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("bias"), bias)
        assert torch.equal(file.get_tensor("weight"), weight)


def test_we_read_the_librarys_file_when_its_order_is_the_plans(tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.ones(2, 3), "bias": torch.ones(3)}, path, metadata={"format": "pt"})
    with path.open("rb") as file:
        consumed = read_header(file, SCHEMA)
        assert file.tell() == consumed == path.stat().st_size - 36


def test_json_order_does_not_matter_but_order_of_storage_does():
    read_header(file_with(dict(reversed(GOOD.items()))), SCHEMA)
    swapped = {
        "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "bias": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
    }
    with pytest.raises(UpdateRefused, match=r"stores 'bias' at byte 24, not 0") as refusal:
        read_header(file_with(swapped), SCHEMA)
    assert refusal.value.code == "update-schema-mismatch"


def test_an_empty_tensor_and_a_scalar_have_their_place():
    schema = (
        TensorSpec(name="none", dtype="F32", shape=(0, 5)),
        TensorSpec(name="scalar", dtype="F32", shape=()),
    )
    assert data_bytes(schema) == 4
    header = encode_header(schema)
    assert read_header(io.BytesIO(header), schema) == len(header)


INVALID = {
    "empty file": io.BytesIO(b""),
    "cut within the length": io.BytesIO(b"\x10\x00\x00"),
    "cut within the header": file_with(GOOD, length=500),
    "header said to be huge": file_with(GOOD, length=2**60),
    "no JSON": file_with(b"{nonsense"),
    "not UTF-8": file_with(b'{"\xff": 1}'),
    "no object": file_with(b"[1, 2]"),
    "deep nesting": file_with(b"[" * 4000),
    "a key twice": file_with(b'{"bias": 1, "bias": 2}'),
    "NaN": file_with(b'{"bias": NaN}'),
    "a gigantic integer": file_with(b'{"bias": ' + b"9" * 4400 + b"}"),
    "large metadata": file_with(GOOD | {"__metadata__": {"x": "y" * 4096}}),
    "metadata that is no text": file_with(GOOD | {"__metadata__": {"x": [1]}}),
    "metadata that is no object": file_with(GOOD | {"__metadata__": []}),
    "a tensor that is no object": file_with(GOOD | {"bias": 3}),
    "an unknown key": file_with(changed("bias", sparse=True)),
    "a boolean size": file_with(changed("bias", shape=[True, 3])),
    "a negative size": file_with(changed("bias", shape=[-3])),
    "a size beyond all bounds": file_with(changed("bias", shape=[2**48])),
    "a size that is no integer": file_with(changed("bias", shape=[3.0])),
    "three offsets": file_with(changed("bias", data_offsets=[0, 12, 12])),
    "offsets that do not fit the shape": file_with(changed("bias", data_offsets=[0, 8])),
    "offsets the wrong way": file_with(changed("bias", data_offsets=[12, 0])),
    "a hole": file_with(changed("weight", data_offsets=[16, 40])),
    "an overlap": file_with(changed("weight", data_offsets=[8, 32])),
    "no start at zero": file_with({"bias": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}),
}


@pytest.mark.parametrize("file", INVALID.values(), ids=INVALID.keys())
def test_invalid_headers_are_refused(file):
    with pytest.raises(UpdateRefused, match="header") as refusal:
        read_header(file, SCHEMA)
    assert refusal.value.code == "update-header-invalid"


EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [36, 36]}
MISMATCHED = {
    "a tensor missing": ({"bias": GOOD["bias"]}, "lacks 1 of 2 tensors, the first 'weight'"),
    "a tensor too many": (GOOD | {"../../etc/passwd": EMPTY}, "has 1 unknown tensors, the first '../../etc"),
    "many empty tensors": (GOOD | {f"t{n}": EMPTY for n in range(40)}, "has 40 unknown tensors"),
    "a shape turned": (changed("weight", shape=[3, 2]), r"shape \(3, 2\), not \(2, 3\)"),
    "a shape flattened": (changed("weight", shape=[6]), r"shape \(6,\), not \(2, 3\)"),
}


@pytest.mark.parametrize(("header", "sentence"), MISMATCHED.values(), ids=MISMATCHED.keys())
def test_other_tensors_than_the_plans_are_refused(header, sentence):
    with pytest.raises(UpdateRefused, match=sentence) as refusal:
        read_header(file_with(header), SCHEMA)
    assert refusal.value.code == "update-schema-mismatch"


def test_other_dtypes_are_refused():
    for header, schema in [
        (changed("bias", dtype="I64", data_offsets=[0, 24]), SCHEMA),
        (changed("bias", dtype="F16", data_offsets=[0, 6]), SCHEMA),
        (GOOD, with_dtype(SCHEMA, "BF16")),
    ]:
        with pytest.raises(UpdateRefused) as refusal:
            read_header(file_with(header), schema)
        assert refusal.value.code == "update-dtype"


def test_a_long_name_is_not_repeated_in_full():
    with pytest.raises(UpdateRefused) as refusal:
        read_header(file_with(GOOD | {"x" * 900: EMPTY}), SCHEMA)
    assert len(str(refusal.value)) < 250


def test_a_model_of_integers_cannot_be_exchanged():
    with pytest.raises(InputError, match="I64"):
        encode_header([TensorSpec(name="position_ids", dtype="I64", shape=(4,))])
