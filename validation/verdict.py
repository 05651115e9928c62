"""What a contract found, without a value of the rows: all of this may leave the party."""

from dataclasses import dataclass

from fedmodels.contract_schema import Severity


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

    def __add__(self, other: "ContractVerdict") -> "ContractVerdict":
        return ContractVerdict(self.findings + other.findings)
