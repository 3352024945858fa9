"""A problem: what is wrong now, in a form that can be compared with the last look, and the kinds there are.

Each kind has an entry in `docs/runbook.md`; a test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from dataplatform.contracts.model import Severity
from dataplatform.operations.scrub import scrub

RUNBOOK = "docs/runbook.md"
ONCE = ""
"""Stands for the partition of a problem that has none: what has no days is there, or is not."""


class Kind(StrEnum):
    """What can be wrong."""

    RULE_FAILED = "rule_failed"
    RULE_WARNED = "rule_warned"
    ROWS_QUARANTINED = "rows_quarantined"
    DELIVERY_REFUSED = "delivery_refused"
    KEY_HELD_TWICE = "key_held_twice"
    NOT_RECONCILED = "not_reconciled"
    FILE_MISSING = "file_missing"
    SOURCE_DOWN = "source_down"
    TABLE_LATE = "table_late"
    TABLE_NEARLY_LATE = "table_nearly_late"
    SLICE_FAILED = "slice_failed"
    SLICE_STALE = "slice_stale"
    CONTRACT_CHANGED = "contract_changed"
    TABLE_HELD = "table_held"
    RUN_FAILED = "run_failed"
    DEFINITIONS_BROKEN = "definitions_broken"
    TICK_FAILED = "tick_failed"
    DAEMON_DEAD = "daemon_dead"
    RECEIVER_UNREACHABLE = "receiver_unreachable"


@dataclass(frozen=True, slots=True)
class About:
    """What holds for all problems of a kind. `title` completes `<subject>: …`; `entry` is the runbook's heading."""

    severity: Severity
    title: str
    entry: str


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
ABOUT: Mapping[Kind, About] = {
    Kind.RULE_FAILED: About(_ERROR, "a rule failed, nothing was published", "A slice is blocked"),
    Kind.RULE_WARNED: About(_WARNING, "a rule warns", "A rule warns"),
    Kind.ROWS_QUARANTINED: About(_WARNING, "rows were kept out", "Rows are in quarantine"),
    Kind.DELIVERY_REFUSED: About(_ERROR, "the delivered file was refused", "A delivery is refused"),
    Kind.FILE_MISSING: About(_WARNING, "no file was delivered", "A file is missing"),
    Kind.KEY_HELD_TWICE: About(
        _ERROR, "a key is held twice in what is published", "A key is held twice (job `daily_checks`)"
    ),
    Kind.NOT_RECONCILED: About(
        _ERROR, "what came in is not what is published", "Reconciliation differs (check `reconciliation`)"
    ),
    Kind.SOURCE_DOWN: About(_ERROR, "its source gives nothing", "A source is down"),
    Kind.TABLE_LATE: About(_ERROR, "it is late", "A table is late"),
    Kind.TABLE_NEARLY_LATE: About(_WARNING, "it will be late", "A table is late"),
    Kind.SLICE_FAILED: About(_ERROR, "it could not be made", "A slice could not be made"),
    Kind.SLICE_STALE: About(_ERROR, "it is stale, and nothing makes it", "A slice stays stale"),
    Kind.CONTRACT_CHANGED: About(
        _ERROR, "its contract changed, it waits for a rebuild", "A contract changed on published rows"
    ),
    Kind.TABLE_HELD: About(_WARNING, "it is held, nothing publishes it", "A table is held"),
    Kind.RUN_FAILED: About(_ERROR, "the run failed", "A run failed and no step says why"),
    Kind.DEFINITIONS_BROKEN: About(_ERROR, "they cannot be loaded, nothing runs", "Definitions cannot be loaded"),
    Kind.TICK_FAILED: About(_ERROR, "its last tick failed", "A sensor or schedule fails"),
    Kind.DAEMON_DEAD: About(_ERROR, "the daemon has stopped", "A daemon has stopped"),
    Kind.RECEIVER_UNREACHABLE: About(_ERROR, "the receiver cannot be reached", "A receiver cannot be reached"),
}


def anchor(heading: str) -> str:
    """Where a heading of a Markdown page is, as GitHub and others number it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong now, however many partitions it is wrong in.

    `subject` is a table's full name, or `sensor x`, `daemon X`, `receiver x`. `found` is that of the newest partition,
    with private values masked. `owner` is the contract's; empty for the platform's own problems. It is told when it
    has stood for `grace` seconds.
    """

    kind: Kind
    subject: str
    partitions: tuple[str, ...] = (ONCE,)
    rule: str = ""
    expected: str = ""
    found: str = ""
    owner: str = ""
    run_id: str = ""
    is_table: bool = False
    severity: Severity = Severity.ERROR
    grace: float = 0.0

    @property
    def fingerprint(self) -> str:
        """The same for as long as it is the same problem: days that join or leave it do not change it."""
        told_apart = json.dumps([self.kind, self.subject, self.rule])
        return hashlib.sha256(told_apart.encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        rule = f" ({self.rule})" if self.rule else ""
        return f"{self.subject}: {ABOUT[self.kind].title}{rule}"

    @property
    def anchor(self) -> str:
        """The runbook's entry, as a place in the page."""
        return anchor(ABOUT[self.kind].entry)

    def to_json(self) -> str:
        """Without its partitions, which the outbox keeps one by one."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "partitions"})

    @classmethod
    def from_json(cls, text: str, partitions: Sequence[str]) -> Problem:
        told: dict[str, Any] = json.loads(text)
        told |= {"kind": Kind(told["kind"]), "severity": Severity(told["severity"])}
        return cls(**told, partitions=tuple(partitions))


def problem(kind: Kind, subject: str, **details: Any) -> Problem:
    """A problem with its kind's severity."""
    return Problem(kind, subject, severity=ABOUT[kind].severity, **details)


def scrubbed(found: Problem, secrets: Iterable[str] = ()) -> Problem:
    """The same without secrets in what others wrote."""
    told = tuple(secrets)
    return replace(found, expected=scrub(found.expected, told), found=scrub(found.found, told))
