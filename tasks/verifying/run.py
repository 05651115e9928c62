"""Verifying a run: everything in the bucket that can be computed again is, and what differs is named.

What holds what:

    HEAD.json ──▶ record.json ──▶ the record before ──▶ … ──▶ round 1
                      │
                      ├─▶ decision.json ──▶ receipt.json (signed) ──▶ update
                      │        └─▶ base model ─┐
                      │                        ├─▶ average, bit for bit ─▶ candidate's weights
                      │        updates ────────┘
                      └─▶ candidate.json, evaluation.json (signed), announcement.json: by their content

The plan is held by the receipts, which state its hash under the parties' signatures. Nothing holds HEAD's
epoch, and in `closed.json` the status of a run that was not finished, the sentence and the seconds. A receipt
that was refused, an evaluation that came too late and the lease of a session decided nothing: the first
two are checked as long as they are there, and may be missing.
"""

from pathlib import Path

from fedmodels.identifiers import check_identifier
from infra.layout import closed_key, head_key
from infra.object_store import ObjectStore
from infra.waiting import wait_for
from tasks.verifying.blobs import BlobCheck, Watch, named_blobs
from tasks.verifying.findings import Report
from tasks.verifying.messages import Examined, examine_messages
from tasks.verifying.snapshot import read_snapshot

CLOSING_S = 60.0
"""Seconds from the last swap of HEAD in which `closed.json` may come: the kept model is fetched before it."""


def verify_run(
    store: ObjectStore, run: str, scratch: Path, watch: Watch = lambda _read, _total: None
) -> Report:
    """Check every object of a run, whether it is over or open, and going on meanwhile.

    Of a run whose rounds are all played, `closed.json` is waited for while its coordinator may still be about
    to write it.

    Args:
        store: the bucket, with credentials that read all of it: the coordinator's.
        run: id of the run.
        scratch: an existing folder with room for one model.
        watch: told the progress in bytes.

    Raises:
        InputError: nothing of such a run stands in the bucket.
        StoreBusy: the run moves on faster than it can be listed.
    """
    snapshot = read_snapshot(store, check_identifier("run", run))
    examined = examine_messages(snapshot)
    if _may_be_closing(examined, run):
        left = max(0.0, CLOSING_S - (store.age(head_key(run)) or 0.0))
        if wait_for(lambda: store.exists(closed_key(run)), timeout=left):
            snapshot = read_snapshot(store, run)
            examined = examine_messages(snapshot)
    named = named_blobs(examined.plan, examined.decisions, examined.models)
    blobs = BlobCheck(store, snapshot, named, watch, scratch)
    averages = blobs.check_all(examined.averages)
    found = {item.object: item for item in (*examined.findings, *averages, *blobs.findings.values())}
    return Report(run, tuple(found.values()))


def _may_be_closing(examined: Examined, run: str) -> bool:
    """Whether all rounds are played, and the last message is missing."""
    return any(item.object == closed_key(run) and item.verdict == "deleted" for item in examined.findings)
