"""Admitting: a receipt is checked against the round that it answers, and its update byte by byte."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from fedmodels.errors import IntegrityError, UpdateRefused
from fedmodels.protocol.canonical import sha256_hex
from fedmodels.protocol.deciding import Collected
from fedmodels.protocol.messages import Announcement, DataReport, Receipt, Refusal
from infra.keys import verify
from infra.layout import update_key
from infra.object_store import ByteStream
from tasks.coordinator.run import CoordinatorRun
from validation.admission import Expected, check_receipt, check_sitting_out, check_update

UPDATE_READS = 2


def admit(
    run: CoordinatorRun, asked: Announcement, party: str, envelope: bytes, *, salvaged: bool = False
) -> Collected:
    """Check the receipt against the round that it answers, then every byte of the update, in one pass."""
    expected, earlier = _expected(run, asked, party), asked.round if salvaged else None
    try:
        receipt = check_receipt(envelope, expected, partial(verify, run.plan.parties[party]))
        if not salvaged:
            run.watch.computed_before_now(receipt.compute)
        _check_update(run, receipt, expected)
    except UpdateRefused as error:
        refusal = Refusal(party=party, code=error.code, reason=str(error), round=earlier)
        report = report_of(run, asked, party, envelope)
        return Collected(party=party, refusal=refusal, round=earlier, report=report)
    return Collected(party=party, receipt=receipt, receipt_sha256=sha256_hex(envelope), round=earlier)


def report_of(run: CoordinatorRun, asked: Announcement, party: str, envelope: bytes) -> DataReport | None:
    """What a party that sat the round out says of its data, in counts; `None` of any other receipt."""
    try:
        receipt = check_sitting_out(
            envelope, _expected(run, asked, party), partial(verify, run.plan.parties[party])
        )
    except UpdateRefused:
        return None
    return receipt.data


def _expected(run: CoordinatorRun, asked: Announcement, party: str) -> Expected:
    plan = run.plan
    return Expected(
        run=run.run,
        round=asked.round,
        party=party,
        base_sha256=asked.model_sha256,
        parameters=plan.parameters,
        update_dtype=plan.recipe.update.dtype,
        clipping_norm=plan.recipe.update.clipping_norm,
        plan_sha256=run.plan_sha256,
    )


@retry(retry=retry_if_exception_type(UpdateRefused), stop=stop_after_attempt(UPDATE_READS), reraise=True)
def _check_update(run: CoordinatorRun, receipt: Receipt, expected: Expected) -> None:
    """Check every byte; what is refused is read once more, since it may have been damaged on its way only."""
    with _open_update(run, receipt) as stream:
        check_update(receipt, expected, stream)


@contextmanager
def _open_update(run: CoordinatorRun, receipt: Receipt) -> Iterator[ByteStream]:
    """The update that a receipt names; a party can have deleted it at any moment, or never uploaded it."""
    assert receipt.update_sha256 is not None
    try:
        with run.store.open(update_key(receipt.party, receipt.update_sha256)) as stream:
            yield stream
    except IntegrityError:
        raise UpdateRefused(
            f"The receipt of {receipt.party} names an update that is not in the store",
            fix="the round goes on without this party",
            code="update-missing",
        ) from None
