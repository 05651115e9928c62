"""A correct update passes; every single corruption is refused with exactly its own code."""

import hashlib
import io
import math
from base64 import b64decode, b64encode
from dataclasses import replace

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedmodels.errors import UpdateRefused
from fedmodels.parameters.elements import from_float32
from fedmodels.parameters.safetensors_file import encode_header, with_dtype
from fedmodels.protocol.canonical import canonical_json
from fedmodels.protocol.messages import DataReport, Receipt, Signed, TensorSpec
from fedmodels.protocol.reserved import COORDINATOR_CODES
from validation.admission import RECEIPT_LIMIT, Expected, check_receipt, check_update

SCHEMA = (TensorSpec(name="b", dtype="F32", shape=(2,)), TensorSpec(name="w", dtype="F32", shape=(2, 3)))
BASE, OTHER = "a" * 64, "b" * 64
KEY, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DELTA = np.array([3, 4, 0, 0, 0, 0, 0, 0], np.float32)  # L2 norm 5
PLAN = "c" * 64
EXPECTED = Expected("run-1", 2, "shop-a", BASE, SCHEMA, clipping_norm=5.0, plan_sha256=PLAN)


def verify(payload: bytes, signature: str) -> bool:
    try:
        KEY.public_key().verify(b64decode(signature), payload)
    except (InvalidSignature, ValueError):
        return False
    return True


def update_file(delta=DELTA, dtype="BF16", schema=SCHEMA) -> bytes:
    return encode_header(with_dtype(schema, dtype)) + from_float32(np.asarray(delta, np.float32), dtype)


def receipt_for(file: bytes, /, **changes: object) -> Receipt:
    report = DataReport(rows=120, train_rows=100, holdout_rows=20, contract_passed=True)
    fields: dict[str, object] = {
        "run": "run-1",
        "round": 2,
        "party": "shop-a",
        "plan_sha256": PLAN,
        "base_sha256": BASE,
        "update_sha256": hashlib.sha256(file).hexdigest(),
        "update_bytes": len(file),
        "update_norm": 5.0,
        "num_examples": 100,
        "data": report,
        "compute": ((3.5, 1.25),),
        "seconds": {"train": 2},
    }
    return Receipt.model_validate(fields | changes)


def signed(payload: bytes, key: Ed25519PrivateKey = KEY) -> bytes:
    signature = b64encode(key.sign(payload)).decode()
    return canonical_json(Signed(payload=payload.decode(), signature=signature))


def envelope_of(receipt: Receipt, key: Ed25519PrivateKey = KEY) -> bytes:
    return signed(canonical_json(receipt), key)


def admit(envelope: bytes, data: bytes, expected: Expected = EXPECTED) -> float:
    receipt = check_receipt(envelope, expected, verify)
    return check_update(receipt, expected, io.BytesIO(data))


def refusal(envelope: bytes, data: bytes, expected: Expected = EXPECTED) -> UpdateRefused:
    with pytest.raises(UpdateRefused) as caught:
        admit(envelope, data, expected)
    return caught.value


@pytest.mark.parametrize(("dtype", "name"), [("BF16", "bfloat16"), ("F32", "float32")])
def test_a_correct_update_passes(dtype, name):
    data = update_file(dtype=dtype)
    assert admit(envelope_of(receipt_for(data)), data, replace(EXPECTED, update_dtype=name)) == 5.0


def test_an_unchanged_model_passes():
    data = update_file(np.zeros(8))
    assert admit(envelope_of(receipt_for(data, update_norm=0.0)), data) == 0.0


GOOD = update_file()
RECEIPTS = {
    "receipt-too-large": b" " * (RECEIPT_LIMIT + 1),
    "receipt-malformed, no JSON": b"\x80\x04pickle",
    "receipt-malformed, an unknown key": b'{"payload": "{}", "signature": "", "key": 1}',
    "receipt-malformed, payload that is no receipt": signed(b'{"run": "run-1"}'),
    "receipt-malformed, text for a number": signed(
        canonical_json(receipt_for(GOOD).model_dump(mode="json") | {"num_examples": "100"})
    ),
    "receipt-malformed, infinity": signed(
        canonical_json(receipt_for(GOOD)).replace(b'"update_norm":5.0', b'"update_norm":Infinity')
    ),
    "receipt-malformed, another version's key": signed(
        canonical_json(receipt_for(GOOD).model_dump(mode="json") | {"epsilon": 1.0})
    ),
    "receipt-malformed, neither update nor refusal": envelope_of(receipt_for(GOOD, update_sha256=None)),
    "receipt-malformed, a code that is a sentence": envelope_of(receipt_for(GOOD, refusal="Hello there")),
    "receipt-malformed, an endless reason": envelope_of(receipt_for(GOOD, refusal="no", reason="x" * 2001)),
    **{
        f"receipt-malformed, refuses itself as {code}": envelope_of(receipt_for(GOOD, refusal=code))
        for code in sorted(COORDINATOR_CODES)
    },
    **{
        f"receipt-implausible, {name}": envelope_of(receipt_for(GOOD, **{name: value}))
        for name, value in {
            "seconds": {"a": 1e308, "b": 1e308},
            "compute": ((1e308, 0.0),),
            "bytes_down": 2**50 + 1,
            "update_bytes": 10**400,
            "flow_run_id": "x" * 101,
            "metrics": {str(number): 0.0 for number in range(1001)},
        }.items()
    },
    "receipt-implausible, many steps": envelope_of(
        receipt_for(GOOD, seconds={str(number): 0.0 for number in range(101)})
    ),
    "receipt-implausible, many intervals": envelope_of(receipt_for(GOOD, compute=((0.0, 0.0),) * 200_001)),
    "signature-invalid, another key": envelope_of(receipt_for(GOOD), STRANGER),
    "signature-invalid, no base64": canonical_json(Signed(payload="{}", signature="nonsense!")),
    "signature-invalid, payload changed": envelope_of(receipt_for(GOOD)).replace(b":100,", b":900,", 1),
    "wrong-party": envelope_of(receipt_for(GOOD, party="shop-b")),
    "wrong-run": envelope_of(receipt_for(GOOD, run="run-0")),
    "wrong-round": envelope_of(receipt_for(GOOD, round=1)),
    "wrong-plan": envelope_of(receipt_for(GOOD, plan_sha256=OTHER)),
    "wrong-plan, none": envelope_of(receipt_for(GOOD, plan_sha256=None)),
    "wrong-base": envelope_of(receipt_for(GOOD, base_sha256=OTHER)),
    "training-failed": envelope_of(receipt_for(GOOD, refusal="training-failed", reason="Out of memory.")),
    "data-contract-failed, no report": envelope_of(receipt_for(GOOD, data=None)),
    "data-contract-failed": envelope_of(
        receipt_for(GOOD, data=DataReport(rows=100, train_rows=100, holdout_rows=0, contract_passed=False))
    ),
    "examples-implausible, none": envelope_of(receipt_for(GOOD, num_examples=0)),
    "examples-implausible, more than rows": envelope_of(receipt_for(GOOD, num_examples=101)),
    "examples-implausible, beyond all bounds": envelope_of(
        receipt_for(
            GOOD,
            num_examples=10**9 + 1,
            data=DataReport(rows=10**12, train_rows=10**12, holdout_rows=0, contract_passed=True),
        )
    ),
    "examples-implausible, parts above the whole": envelope_of(
        receipt_for(GOOD, data=DataReport(rows=110, train_rows=100, holdout_rows=20, contract_passed=True))
    ),
    "update-too-large": envelope_of(receipt_for(GOOD, update_bytes=10_000_000)),
}


@pytest.mark.parametrize("case", RECEIPTS)
def test_a_bad_receipt_is_refused_before_the_update_is_fetched(case):
    with pytest.raises(UpdateRefused) as caught:
        check_receipt(RECEIPTS[case], EXPECTED, verify)
    assert caught.value.code == case.split(",")[0]


def with_element(value: float) -> bytes:
    return update_file([*DELTA[:7], value])


OTHER_SHAPE = (SCHEMA[0], TensorSpec(name="w", dtype="F32", shape=(3, 2)))
UPDATES = {
    "update-header-invalid": b"PK\x03\x04 a zip, or a pickle",
    "update-schema-mismatch": update_file(schema=OTHER_SHAPE),
    "update-schema-mismatch, a tensor missing": update_file(DELTA[:2], schema=SCHEMA[:1]),
    "update-dtype": update_file(dtype="F32"),
    "update-truncated": GOOD[:-2],
    "update-truncated, longer": GOOD + b"\0\0",
    "update-not-finite, NaN": with_element(math.nan),
    "update-not-finite, infinite": with_element(math.inf),
    "update-not-finite, minus infinite": with_element(-math.inf),
    "update-norm-too-large": update_file(2 * DELTA),
}


@pytest.mark.parametrize("case", UPDATES)
def test_a_bad_update_is_refused_though_its_receipt_is_right(case):
    data = UPDATES[case]
    found = refusal(envelope_of(receipt_for(data, update_norm=10.0)), data)
    assert found.code == case.split(",")[0]


def test_other_bytes_than_the_signed_ones():
    found = refusal(envelope_of(receipt_for(GOOD)), update_file(-DELTA))
    assert found.code == "update-hash-mismatch"


def test_another_length_than_the_signed_one():
    found = refusal(envelope_of(receipt_for(GOOD, update_bytes=len(GOOD) - 1)), GOOD)
    assert found.code == "update-size-mismatch"


@pytest.mark.parametrize("said", [4.9, 5.1, 0.0])
def test_another_norm_than_the_signed_one(said):
    found = refusal(envelope_of(receipt_for(GOOD, update_norm=said)), GOOD)
    assert found.code == "update-norm-mismatch"


def test_an_update_whose_square_overflows_is_no_pass():
    data = with_element(3e38)
    found = refusal(
        envelope_of(receipt_for(data, update_norm=1e30)), data, replace(EXPECTED, clipping_norm=None)
    )
    assert found.code == "update-norm-mismatch"


def test_clipping_leaves_room_for_rounding_and_no_more():
    assert admit(envelope_of(receipt_for(GOOD)), GOOD, replace(EXPECTED, clipping_norm=4.96)) == 5.0
    found = refusal(envelope_of(receipt_for(GOOD)), GOOD, replace(EXPECTED, clipping_norm=4.94))
    assert found.code == "update-norm-too-large"
    assert "norm of 5, above update.clipping_norm 4.94" in found.sentence


def test_a_party_that_sat_out_keeps_its_code_and_reason():
    receipt = receipt_for(
        GOOD,
        update_sha256=None,
        refusal="data-refused",
        reason="critical:not-null:text failed; mend the table.",
    )
    found = refusal(envelope_of(receipt), GOOD)
    assert (found.code, str(found)) == ("data-refused", "critical:not-null:text failed; mend the table.")


def test_a_non_finite_element_is_found_in_any_chunk():
    schema = (TensorSpec(name="w", dtype="F32", shape=(3_000_000,)),)
    expected = Expected("run-1", 2, "shop-a", BASE, schema)
    for place in (0, 2_500_000, 2_999_999):
        delta = np.zeros(3_000_000, np.float32)
        delta[place] = np.nan
        data = update_file(delta, schema=schema)
        assert refusal(envelope_of(receipt_for(data)), data, expected).code == "update-not-finite"
