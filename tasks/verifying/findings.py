"""What a verification says of one object."""

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal[
    "ok",
    "changed",
    "deleted",
    "swapped",
    "reordered",
    "disagrees",
    "unexpected",
    "swept",
    "pruned",
    "not recomputable: fine-tuned",
    "not checked",
]
"""`changed`: other bytes than were written. `swapped`, `reordered`: what belongs elsewhere. `disagrees`: the
bytes are those that were written, and say what does not follow from the rest. `not checked`: it rests on
something that is damaged, and has a line of its own."""
HOLDS: frozenset[Verdict] = frozenset(
    {"ok", "swept", "pruned", "not recomputable: fine-tuned", "not checked"}
)
"""Verdicts that break nothing by themselves: what a `not checked` rests on is broken already."""


def told_apart(one: str | None, other: str | None) -> tuple[str, str]:
    """Two hashes that differ, cut short where that shows it and whole otherwise."""
    first, second = one or "none", other or "none"
    if first[:12] == second[:12]:
        return first, second
    return _short(first), _short(second)


def _short(digest: str) -> str:
    return digest if len(digest) <= 12 else f"{digest[:12]}…"


@dataclass(frozen=True)
class Finding:
    """One object's verdict. `object` is its key in the bucket, or what was recomputed."""

    object: str
    verdict: Verdict
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the object."""
        return self.verdict in HOLDS


@dataclass(frozen=True)
class Report:
    """Everything that was found, in the order of the run."""

    run: str
    findings: tuple[Finding, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether everything that can be checked holds."""
        return all(finding.holds for finding in self.findings)

    def document(self) -> dict[str, object]:
        """The report as one JSON document."""
        return {
            "run_id": self.run,
            "passed": self.passed,
            "objects": [
                {"object": item.object, "verdict": item.verdict, "detail": item.detail}
                for item in self.findings
            ],
        }
