"""What a contract found, without a value of the rows: all of this may leave the party."""

from dataclasses import dataclass

from fedmodels.contract_schema import Severity
from fedmodels.words import counted

COLUMNS = ("part", "expectation", "column", "severity", "verdict", "rows", "unexpected")
"""Headings of `Finding.cells`."""


@dataclass(frozen=True)
class Finding:
    """One expectation and what became of it."""

    part: str
    """`train`, `holdout`, `facts`, `labels`, or `own` for an expectation of the party's."""
    expectation: str
    """Type of the expectation, as Great Expectations names it."""
    column: str
    """Its column, or `table`; empty for an expectation of the party's, whose columns concern nobody else."""
    severity: Severity
    passed: bool
    rows: int | None = None
    """Rows that it looked at; `None` where it looks at the table as a whole."""
    unexpected: int | None = None
    """Rows that break it."""
    evaluated: bool = True
    """False when it could not be evaluated, for want of its column say; it has then failed."""

    @property
    def name(self) -> str:
        """`severity:type:column`, the column of a part other than `train` as `PART.COLUMN`."""
        where = ".".join(word for word in ("" if self.part == "train" else self.part, self.column) if word)
        return f"{self.severity}:{self.expectation}:{where}"

    @property
    def in_words(self) -> str:
        """Its type as a person reads it, `values not null`: without what its column says, in single words."""
        words = self.expectation.removeprefix("expect_").removeprefix("column_").removeprefix("table_")
        short = words.replace("_to_not_be_", "_not_").replace("_to_be_", "_").replace("_to_", "_")
        return short.replace("_", " ")

    @property
    def said(self) -> str:
        """The verdict in two words at most."""
        if not self.evaluated:
            return "not evaluated"
        return "passed" if self.passed else "failed"

    def cells(self) -> tuple[str, ...]:
        """What a table shows of it, under `COLUMNS`."""
        counts = ("" if count is None else str(count) for count in (self.rows, self.unexpected))
        return (self.part, self.expectation, self.column, self.severity, self.said, *counts)


@dataclass(frozen=True)
class ContractVerdict:
    """What a contract found."""

    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """No critical expectation failed."""
        return not self.critical

    @property
    def failed(self) -> tuple[str, ...]:
        """The name of each finding that failed, sorted."""
        return tuple(sorted(finding.name for finding in self.findings if not finding.passed))

    @property
    def critical(self) -> tuple[str, ...]:
        """The names of the failed ones that keep the party out, sorted."""
        return tuple(name for name in self.failed if name.startswith("critical:"))

    @property
    def evaluated(self) -> int:
        """Number of expectations."""
        return len(self.findings)

    def in_words(self) -> str:
        """One sentence for a person."""
        warnings = len(self.failed) - len(self.critical)
        said = "The contract is kept" if self.passed else "The contract is broken"
        return (
            f"{said}: of {counted(self.evaluated, 'expectation')}, {len(self.critical)} critical and "
            f"{counted(warnings, 'warning')} failed."
        )

    def __add__(self, other: "ContractVerdict") -> "ContractVerdict":
        return ContractVerdict(self.findings + other.findings)
