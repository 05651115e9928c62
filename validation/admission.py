"""Admission: what an update must pass before a byte of it reaches an aggregator.

First the receipt, which is small: `check_receipt`. Then, in one pass over the update's bytes with memory
of one chunk: `check_update`. Every refusal is an `UpdateRefused` with a code of its own:

    receipt-too-large     the envelope is longer than any receipt
    receipt-malformed     the envelope or its payload is no receipt of this version, or the party refuses
                          itself with a code that only the coordinator gives, or at endless length
    receipt-implausible   times, bytes or counts beyond the bounds of `validation.plausibility`
    signature-invalid     the payload was not signed with the party's key
    wrong-party           signed by the party, but for another one (a copied receipt)
    wrong-run             for another run (a replayed receipt)
    wrong-round           for another round (a replayed receipt)
    wrong-plan            its party joined under another plan, or does not say under which
    wrong-base            trained from another model than the announced one
    (the party's own)     the party sat the round out, and said why
    data-contract-failed  the party's data break their contract, or the receipt does not report on them
    examples-implausible  no examples, or more than the report's rows
    update-too-large      more bytes than the plan's parameters can take
    update-header-invalid, update-schema-mismatch, update-dtype
                          see `fedmodels.parameters.safetensors_file`
    update-truncated      ends before the last tensor, or goes on behind it
    update-hash-mismatch  other bytes than the signed ones
    update-size-mismatch  another length than its receipt says
    update-not-finite     NaN or infinity in some tensor
    update-norm-too-large longer than `update.clipping_norm`
    update-norm-mismatch  not as long as its receipt says

The coordinator's collecting adds `update-missing`: the receipt names an update that is not in the store.

Values that come from a party are quoted only when they are numbers or ids.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from fedmodels.errors import UpdateRefused
from fedmodels.parameters.elements import DTYPES, squared_norm, to_float32
from fedmodels.parameters.safetensors_file import (
    data_bytes,
    element_bytes,
    read_header,
    size_limit,
    with_dtype,
)
from fedmodels.parameters.stream import CHUNK_BYTES, ChunkReader, HashingReader
from fedmodels.protocol.messages import Receipt, Signed, TensorSpec
from fedmodels.protocol.reserved import LONGEST_REASON, may_say
from validation.plausibility import implausible

Verify = Callable[[bytes, str], bool]
"""Says whether a signature (base64) of these bytes was made with the party's key."""

RECEIPT_LIMIT = 4 * 1024 * 1024
"""Bytes of an envelope: room for the compute intervals of some 100,000 steps."""
MOST_EXAMPLES = 10**9
NORM_TOLERANCE = 0.01
"""Relative. bfloat16 keeps 8 bits, so rounding after clipping can lengthen a delta by 0.4 % at most."""


@dataclass(frozen=True)
class Expected:
    """What the coordinator asked of one party in one round.

    `parameters` are the plan's, `update_dtype` is the recipe's (`float32` or `bfloat16`), and
    `clipping_norm` the L2 norm to which the delta must have been clipped, if any. `plan_sha256` is the hash
    of the plan as it is stored; where it is given, a receipt has to state it.
    """

    run: str
    round: int
    party: str
    base_sha256: str
    parameters: Sequence[TensorSpec]
    update_dtype: str = "bfloat16"
    clipping_norm: float | None = None
    plan_sha256: str | None = None

    @property
    def schema(self) -> tuple[TensorSpec, ...]:
        """The tensors of the delta, in the order of storage."""
        return with_dtype(self.parameters, DTYPES[self.update_dtype])


def check_receipt(envelope: bytes, expected: Expected, verify: Verify) -> Receipt:
    """The receipt in `envelope`, if it is the party's own, for this round, and about an update.

    Args:
        envelope: the object as stored: a `Signed` message.
        expected: what was announced.
        verify: checks a signature against the party's public key from the plan.

    Raises:
        UpdateRefused: with a code of the module's table; with the party's code when it sat out.
    """
    receipt = _open_envelope(envelope, expected.party, verify)
    _check_addressed(receipt, expected)
    _check_took_part(receipt)
    _check_plausible(receipt)
    _check_examples(receipt)
    limit = size_limit(expected.schema)
    if receipt.update_bytes > limit:
        raise _refused(
            receipt.party,
            f"is {receipt.update_bytes} bytes, more than the {limit} of this model",
            "update-too-large",
        )
    return receipt


def check_sitting_out(envelope: bytes, expected: Expected, verify: Verify) -> Receipt:
    """The receipt in `envelope`, if it is the party's own, for this round, and says why there is no update.

    Args:
        envelope: as of `check_receipt`.
        expected: likewise.
        verify: likewise.

    Raises:
        UpdateRefused: with a code of the module's table; also of a receipt that is about an update.
    """
    receipt = _open_envelope(envelope, expected.party, verify)
    _check_addressed(receipt, expected)
    if receipt.refusal is None:
        raise _refused(receipt.party, "has a receipt without a refusal", "receipt-malformed")
    _check_reason(receipt.party, receipt.refusal, receipt.reason)
    _check_plausible(receipt)
    return receipt


def check_update(receipt: Receipt, expected: Expected, reader: ChunkReader) -> float:
    """Read the update once, from front to back, and check every element of it.

    Returns:
        The L2 norm of the delta.

    Raises:
        UpdateRefused: with a code of the module's table.
    """
    schema, party = expected.schema, receipt.party
    stream = HashingReader(reader)
    read_header(stream, schema)
    square, finite = _scan(stream, party, data_bytes(schema), schema[0].dtype)
    if stream.read(1):
        raise _refused(party, f"goes on behind its last tensor, at byte {stream.count}", "update-truncated")
    if stream.sha256 != receipt.update_sha256:
        raise _refused(
            party,
            f"has SHA-256 {stream.sha256}, but {receipt.update_sha256} was signed",
            "update-hash-mismatch",
        )
    if stream.count != receipt.update_bytes:
        raise _refused(
            party,
            f"is {stream.count} bytes long, but its receipt says {receipt.update_bytes}",
            "update-size-mismatch",
        )
    if not finite:
        raise _refused(party, "holds NaN or infinity", "update-not-finite")
    norm = math.sqrt(square)
    _check_norm(receipt, norm, expected.clipping_norm)
    return norm


def _open_envelope(envelope: bytes, party: str, verify: Verify) -> Receipt:
    if len(envelope) > RECEIPT_LIMIT:
        raise _refused(party, f"has a receipt of more than {RECEIPT_LIMIT} bytes", "receipt-too-large")
    try:
        signed = Signed.model_validate_json(envelope, strict=True)
    except ValidationError:
        raise _refused(party, "has a receipt that is no signed message", "receipt-malformed") from None
    if not verify(signed.payload.encode(), signed.signature):
        raise _refused(party, "has a receipt that was not signed with the party's key", "signature-invalid")
    try:
        return Receipt.model_validate_json(signed.payload, strict=True)
    except ValidationError as error:
        raise _refused(
            party,
            f"has a receipt with {error.error_count()} faults, perhaps of another version of fedcart",
            "receipt-malformed",
        ) from None


def _check_addressed(receipt: Receipt, expected: Expected) -> None:
    if receipt.party != expected.party:
        raise _refused(expected.party, f"has a receipt of party {receipt.party}", "wrong-party")
    if receipt.run != expected.run:
        raise _refused(receipt.party, f"belongs to run {receipt.run}, not {expected.run}", "wrong-run")
    if receipt.round != expected.round:
        raise _refused(
            receipt.party, f"belongs to round {receipt.round}, not {expected.round}", "wrong-round"
        )
    if expected.plan_sha256 and receipt.plan_sha256 != expected.plan_sha256:
        stated = receipt.plan_sha256[:12] if receipt.plan_sha256 else "no plan"
        raise _refused(
            receipt.party, f"states {stated}, not the run's {expected.plan_sha256[:12]}", "wrong-plan"
        )
    if receipt.base_sha256 != expected.base_sha256:
        raise _refused(
            receipt.party,
            f"starts from model {receipt.base_sha256[:12]}, but {expected.base_sha256[:12]} was announced",
            "wrong-base",
        )


def _check_took_part(receipt: Receipt) -> None:
    if receipt.refusal is not None:
        _check_reason(receipt.party, receipt.refusal, receipt.reason)
        raise UpdateRefused(
            receipt.reason.rstrip(".") or "The party sat this round out", code=receipt.refusal
        )
    if receipt.update_sha256 is None:
        raise _refused(receipt.party, "has a receipt with neither update nor refusal", "receipt-malformed")


def _check_reason(party: str, code: str, reason: str) -> None:
    if not may_say(code, reason):
        raise _refused(
            party,
            f"refuses itself with a code that it may not give, or in over {LONGEST_REASON} characters",
            "receipt-malformed",
        )


def _check_plausible(receipt: Receipt) -> None:
    if beyond := implausible(receipt):
        raise _refused(receipt.party, f"has a receipt that {beyond}", "receipt-implausible")


def _check_examples(receipt: Receipt) -> None:
    if receipt.data is None or not receipt.data.contract_passed:
        raise _refused(
            receipt.party, "comes without a passed data contract in its receipt", "data-contract-failed"
        )
    bound = min(receipt.data.train_rows, MOST_EXAMPLES)
    if not 1 <= receipt.num_examples <= bound:
        raise _refused(
            receipt.party,
            f"claims {receipt.num_examples} examples, which is not between 1 and its {bound} training rows",
            "examples-implausible",
        )
    parts = receipt.data.train_rows + receipt.data.holdout_rows
    if parts > receipt.data.rows:
        raise _refused(
            receipt.party,
            f"reports {parts} training and holdout rows out of {receipt.data.rows}",
            "examples-implausible",
        )


def _scan(stream: HashingReader, party: str, size: int, dtype: str) -> tuple[float, bool]:
    """Read `size` bytes of elements; their sum of squares, and whether all are finite."""
    square, finite = 0.0, True
    scratch = np.empty(CHUNK_BYTES // element_bytes(dtype), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows makes the norm infinite
        for begin in range(0, size, CHUNK_BYTES):
            wanted = min(CHUNK_BYTES, size - begin)
            data = stream.read(wanted)
            if len(data) < wanted:
                raise _refused(
                    party, f"ends after {stream.count} bytes, before its last tensor", "update-truncated"
                )
            values = to_float32(data, dtype, scratch)
            part = squared_norm(values)
            finite = finite and (math.isfinite(part) or bool(np.isfinite(values).all()))
            square += part
    return square, finite


def _check_norm(receipt: Receipt, norm: float, clipping_norm: float | None) -> None:
    if clipping_norm is not None and norm > clipping_norm * (1 + NORM_TOLERANCE):
        raise _refused(
            receipt.party,
            f"has an L2 norm of {norm:.4g}, above update.clipping_norm {clipping_norm:g}",
            "update-norm-too-large",
        )
    if not math.isclose(norm, receipt.update_norm, rel_tol=NORM_TOLERANCE, abs_tol=1e-12):
        raise _refused(
            receipt.party,
            f"has an L2 norm of {norm:.4g}, but its receipt says {receipt.update_norm:.4g}",
            "update-norm-mismatch",
        )


def _refused(party: str, what: str, code: str) -> UpdateRefused:
    return UpdateRefused(
        f"The update of {party} {what}", fix="the round goes on without this party", code=code
    )
