"""A party's checks of the past: whether drift has lasted, and whether rows were looked at before.

Rows are numbered in the order in which a check first saw them, as `PastCheck` wants it: a check of n rows,
of which m were not in the window before, ends m after that one and begins n before its end. Of a window
only hashes are kept.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.private_files import read_json, read_npz, write_json, write_npz
from tasks.drift.desk import DriftDesk
from tasks.party.kept_rows import private_folder
from validation.drift.findings import DriftReport, Finding, Measure
from validation.drift.persistence import PastCheck

MOST_CHECKS = 2000
_CHECKS = "checks.json"
_WINDOW = "window.npz"


class KeptCheck(BaseModel):
    """One check in `checks.json`: no value of a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    window: str
    begin: int
    end: int
    drifted: tuple[str, ...]

    def past(self) -> PastCheck:
        """As the rule on persistence takes it."""
        return PastCheck(self.reference, self.begin, self.end, self.drifted)


@dataclass(frozen=True)
class History:
    """Past checks, oldest first, and the report of the last one."""

    checks: tuple[KeptCheck, ...] = ()
    report: DriftReport | None = None

    def report_on(self, reference: str, window: str) -> DriftReport | None:
        """The report of the last check if it was of these rows against this reference."""
        last = self.checks[-1] if self.checks else None
        same = last is not None and (last.reference, last.window) == (reference, window)
        return self.report if same else None

    def past(self) -> list[PastCheck]:
        """All checks as the rule on persistence takes them."""
        return [check.past() for check in self.checks]


def read_history(desk: DriftDesk) -> History:
    """What is kept; what is damaged is as good as none, so that persistence starts afresh."""
    document = read_json(desk.folder / _CHECKS) or {}
    try:
        checks = tuple(KeptCheck.model_validate(each) for each in document.get("checks", []))
        report = _report_of(document["report"]) if document.get("report") else None
        for check in checks:
            check.past()
    except (ValidationError, TypeError, KeyError, AttributeError):
        return History()
    return History(checks, report)


def add_check(
    desk: DriftDesk,
    history: History,
    reference: str,
    window: str,
    texts: Sequence[str],
    report: DriftReport,
) -> History:
    """Keep one more check, with its report and the hashes of its rows; return the history with it."""
    hashes = row_hashes(texts)
    before = (read_npz(desk.folder / _WINDOW) or {}).get("rows", np.zeros(0, np.uint64))
    last = history.checks[-1].end if history.checks else 0
    end = last + (len(np.setdiff1d(hashes, before)) if last else len(hashes))
    check = KeptCheck(
        reference=reference,
        window=window,
        begin=end - len(hashes),
        end=end,
        drifted=report.drifted_features,
    )
    grown = History((*history.checks, check)[-MOST_CHECKS:], report)
    folder = private_folder(desk.folder, desk.folder.parent.parent)
    document = {"checks": [each.model_dump() for each in grown.checks], "report": asdict(report)}
    write_npz(folder / _WINDOW, {"rows": hashes})
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
    return DriftReport(**{**document, "findings": findings, "not_checked": tuple(document["not_checked"])})
