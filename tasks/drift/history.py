"""A party's checks of the past: whether drift has lasted, and whether rows were looked at before.

Of the rows of a check only hashes are kept, and of very many the smallest: whatever a party does with its
file, append to it, write it anew, load now a part of it and now the whole, a row counts as new once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from fedmodels.errors import InputError
from infra.private_files import read_json, read_npz, write_json, write_npz
from tasks.drift.desk import DriftDesk
from tasks.party.kept_rows import private_folder
from validation.drift.findings import DriftReport, Finding, Measure, NotCompared
from validation.drift.persistence import PastCheck

MOST_CHECKS, MOST_ROWS = 400, 2000
"""Checks that are remembered, and rows of each: at most 6.4 MB of hashes."""
_CHECKS = "checks.json"
_WINDOWS = "windows.npz"


class KeptCheck(BaseModel):
    """One check in `checks.json`: no value of a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    window: str
    """Names its rows, and their hashes in `windows.npz`."""
    whole: bool
    """Whether the hashes are those of all its rows."""
    drifted: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """Past checks against one reference, oldest first, and the report of the last one."""

    checks: tuple[KeptCheck, ...] = ()
    rows: Mapping[str, NDArray[np.uint64]] = field(default_factory=dict)
    """By window: hashes of rows, ascending."""
    report: DriftReport | None = None

    def report_on(self, reference: str, window: str) -> DriftReport | None:
        """The report of the last check if it was of these rows against this reference."""
        last = self.checks[-1] if self.checks else None
        same = last is not None and (last.reference, last.window) == (reference, window)
        return self.report if same else None

    def past(self) -> list[PastCheck]:
        """All checks as the rule on persistence takes them."""
        return [
            PastCheck(check.reference, self.rows[check.window], check.drifted, check.whole)
            for check in self.checks
        ]


def read_history(desk: DriftDesk) -> History:
    """What is kept; what is damaged is as good as none, so that persistence starts afresh."""
    document = read_json(desk.folder / _CHECKS) or {}
    rows = read_npz(desk.folder / _WINDOWS) or {}
    try:
        checks = tuple(KeptCheck.model_validate(each) for each in document.get("checks", []))
        report = _report_of(document["report"]) if document.get("report") else None
        history = History(checks, {check.window: rows[check.window] for check in checks}, report)
        history.past()
    except (ValidationError, InputError, TypeError, KeyError, AttributeError):
        return History()
    return history


def add_check(
    desk: DriftDesk,
    history: History,
    reference: str,
    window: str,
    texts: Sequence[str],
    report: DriftReport,
) -> History:
    """Keep one more check, with its report and the hashes of its rows; return the history with it.

    Those against another reference are forgotten.
    """
    hashes = row_hashes(texts)
    check = KeptCheck(
        reference=reference,
        window=window,
        whole=len(hashes) <= MOST_ROWS,
        drifted=report.drifted_features,
    )
    before = [each for each in history.checks if each.reference == reference]
    checks = (*before, check)[-MOST_CHECKS:]
    known = {**history.rows, window: hashes[:MOST_ROWS]}
    grown = History(checks, {each.window: known[each.window] for each in checks}, report)
    folder = private_folder(desk.folder, desk.folder.parent.parent)
    document = {"checks": [each.model_dump() for each in grown.checks], "report": asdict(report)}
    write_npz(folder / _WINDOWS, grown.rows)
    write_json(folder / _CHECKS, document)
    return grown


def row_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """[n] 64 bits of each text, without repeats, ascending."""
    found = {int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts}
    return np.array(sorted(found), dtype=np.uint64)


def _report_of(document: dict[str, Any]) -> DriftReport:
    findings = tuple(
        Finding(**{**each, "measures": tuple(Measure(**measure) for measure in each["measures"])})
        for each in document["findings"]
    )
    rest = {
        "findings": findings,
        "not_checked": tuple(document["not_checked"]),
        "not_compared": tuple(NotCompared(**each) for each in document.get("not_compared", ())),
    }
    return DriftReport(**{**document, **rest})
