"""Bounds for the numbers that nobody can check: times, bytes and counts of a party's own steps.

They end up in the round's record and in its artifacts. A sum of two that are as large as a float can be
is no number any more, so that no record could be written; and no round lasts for a third of a year.
"""

from collections.abc import Iterable, Sized

from fedmodels.protocol.messages import Evaluation, Receipt

MOST_SECONDS = 1e7
MOST_BYTES = 2**50
MOST_STEPS = 100
"""Entries of `seconds`."""
MOST_INTERVALS = 200_000
MOST_FINDINGS = 1000
"""Entries of each of a report's lists, and of `metrics`."""
LONGEST_FLOW_RUN_ID = 100


def implausible(message: Receipt | Evaluation) -> str | None:
    """What is beyond all bounds in a message, as the end of a sentence; `None` when nothing is."""
    if _too_many(message.compute, MOST_INTERVALS):
        return f"lists over {MOST_INTERVALS} compute intervals"
    if _too_long(second for interval in message.compute for second in interval):
        return f"has a compute interval of over {MOST_SECONDS:g} seconds ago"
    if message.bytes_down > MOST_BYTES:
        return f"claims over {MOST_BYTES} bytes fetched"
    return _in_receipt(message) if isinstance(message, Receipt) else None


def _in_receipt(receipt: Receipt) -> str | None:
    if _too_many(receipt.seconds, MOST_STEPS) or _too_long(receipt.seconds.values()):
        return f"lists over {MOST_STEPS} steps, or one of over {MOST_SECONDS:g} seconds"
    if receipt.update_bytes > MOST_BYTES:
        return f"claims over {MOST_BYTES} bytes submitted"
    report = receipt.data
    lists = (receipt.metrics, report.cleaned, report.failed_expectations) if report else (receipt.metrics,)
    if any(_too_many(entries, MOST_FINDINGS) for entries in lists):
        return f"lists over {MOST_FINDINGS} findings or metrics"
    if len(receipt.flow_run_id) > LONGEST_FLOW_RUN_ID:
        return f"names a flow run by over {LONGEST_FLOW_RUN_ID} characters"
    return None


def _too_many(entries: Sized, bound: int) -> bool:
    return len(entries) > bound


def _too_long(seconds: Iterable[float]) -> bool:
    """Whether one is beyond the bound. None is negative or not finite: the message's own type sees to it."""
    return any(second > MOST_SECONDS for second in seconds)
