"""What an audit says: the result of each rule in each partition, and the verdict on each partition.

Only words live here; how they are reached is `audit.py`, how they are stored or shown `history.py` and `report.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dataplatform.contracts.model import Rule, Severity


class Status(StrEnum):
    """What became of a rule in one partition, from harmless to harmful."""

    PASSED = "passed"
    WARNED = "warned"
    QUARANTINED = "quarantined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Course:
    """How a measure went over the days up to one that is anomalous, with what was expected of each, to be drawn."""

    title: str
    days: tuple[str, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule judged in one partition.

    `failed_rows` are the rows that break it, 0 where the rule judges no single rows (a row count, an SQL value);
    `checked_rows` are the rows it was judged on. Values of private columns in `found` are masked.
    """

    rule: Rule
    partition: str
    passed: bool
    expected: str
    found: str
    failed_rows: int
    checked_rows: int
    quarantined: bool = False
    """Whether breaking the rule sends the row to quarantine, and the partition goes out without it."""
    course: Course | None = None
    """Of a broken anomaly rule: how it came to that."""

    @property
    def status(self) -> Status:
        if self.passed:
            return Status.PASSED
        if self.rule.severity is Severity.WARNING:
            return Status.WARNED
        return Status.QUARANTINED if self.quarantined else Status.FAILED

    def __str__(self) -> str:
        return f"{self.rule.name}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one partition may be published. `problems` holds one line per reason against it; empty means good.

    Of a good partition, published + quarantined rows = candidate rows (those that its source rejected count as
    quarantined). Of a failed one nothing leaves: both are 0, and what is published stays as it was.
    """

    partition: str
    candidate_rows: int
    published_rows: int
    quarantined_rows: int
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.problems
