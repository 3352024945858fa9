"""What is said of a problem, once for all receivers: a message, its text for people and its fields for machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dataplatform.operations.alerts.problem import ONCE, Problem
from dataplatform.operations.text import count

SHOWN = 5
"""How many partitions are named; the number of all of them is always told."""
LISTED = 20
"""How many problems a summary lists."""


class Event(StrEnum):
    """Why a message is sent."""

    PROBLEM = "problem"
    MORE = "more"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    SUMMARY = "summary"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Links:
    """Where a message leads: the base of Dagster's UI and the runbook's page."""

    ui: str
    runbook: str

    def of(self, found: Problem) -> dict[str, str]:
        links = {"run": f"{self.ui}/runs/{found.run_id}"} if found.run_id else {}
        if found.is_table:
            links["page"] = f"{self.ui}/assets/{found.subject.replace('.', '/')}"
        return {**links, "runbook": f"{self.runbook}#{found.anchor}"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is the same when it is sent again, so that a receiver can tell a repetition."""

    id: str
    event: Event
    severity: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """One line: what it is, and how bad."""
        words = {Event.RESOLVED: "over", Event.REMINDER: "still", Event.MORE: "more"}
        prefix = words.get(self.event, "")
        return f"[{self.severity}] {prefix}{': ' if prefix else ''}{self.title}"

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        width = max((len(name) for name, _ in self.lines), default=0)
        return "\n".join([self.subject, *(f"{name + ':':<{width + 1}} {value}" for name, value in self.lines)])

    def to_dict(self, sent_at: datetime) -> dict[str, Any]:
        """The message as a machine reads it; the keys are documented in docs/alerts.md."""
        return {
            "id": self.id,
            "event": self.event.value,
            "severity": self.severity,
            "title": self.title,
            "sent_at": sent_at.astimezone(UTC).isoformat(timespec="seconds"),
            "text": self.text,
            **self.fields,
        }


def message_id(*told_apart: object) -> str:
    """One id for the same message, however often it is composed."""
    return hashlib.sha256("\n".join(map(str, told_apart)).encode()).hexdigest()[:20]


def problem_message(
    found: Problem, event: Event, first_seen: datetime, links: Links, *, told_apart: object = "", new: int = 0
) -> Message:
    """What is said of one problem. `new` counts the partitions that joined it since it was told."""
    leads, partitions = links.of(found), [p for p in found.partitions if p != ONCE]
    named = {
        "table": found.subject if found.is_table else "",
        "partitions": _partitions(partitions, new),
        "rule": found.rule,
        "expected": found.expected,
        "found": found.found,
        "owner": found.owner,
        "since": first_seen.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **leads,
        "fingerprint": found.fingerprint,
    }
    fields = {
        "kind": found.kind.value,
        "fingerprint": found.fingerprint,
        "subject": found.subject,
        "table": named["table"],
        "partitions": partitions[:LISTED],
        "partition_count": len(partitions),
        "rule": found.rule,
        "expected": found.expected,
        "found": found.found,
        "owner": found.owner,
        "run_id": found.run_id,
        "first_seen": first_seen.astimezone(UTC).isoformat(timespec="seconds"),
        "links": leads,
    }
    return Message(
        id=message_id(found.fingerprint, first_seen.timestamp(), event, told_apart),
        event=event,
        severity=found.severity.value,
        title=found.title,
        lines=tuple((name, value) for name, value in named.items() if value),
        fields=fields,
    )


def _partitions(partitions: Sequence[str], new: int) -> str:
    if not partitions or partitions == ["all"]:
        return ""
    shown = ", ".join(partitions[:SHOWN])
    more = f" and {len(partitions) - SHOWN:,} more" if len(partitions) > SHOWN else ""
    joined = f", {new:,} of them new" if new else ""
    return f"{count(len(partitions), 'partition')}{joined}: {shown}{more}"


def summary_message(held: Sequence[Message], over: int, links: Links, told_apart: object) -> Message:
    """What was held back by the rate limit, counted and listed; `over` problems were gone before they were told."""
    severity = "error" if any(each.severity == "error" for each in held) else "warning"
    return Message(
        id=message_id("summary", told_apart, *sorted(each.id for each in held)),
        event=Event.SUMMARY,
        severity=severity,
        title=f"{count(len(held) + over, 'message')} held back by the rate limit",
        lines=tuple(_summary_lines(held, over, links)),
        fields={
            "held_back": len(held) + over,
            "over_before_told": over,
            "messages": [{"event": each.event.value, "severity": each.severity, **each.fields} for each in held],
        },
    )


def _summary_lines(held: Sequence[Message], over: int, links: Links) -> Iterator[tuple[str, str]]:
    for each in held[:LISTED]:
        yield each.event.value, each.subject
    if len(held) > LISTED:
        yield "and", f"{len(held) - LISTED:,} more; `dataplatform alerts list` has all that are open"
    if over:
        yield "over", f"{count(over, 'problem')} came and went meanwhile"
    yield "runbook", f"{links.runbook}#who-is-told"


def check_message(receiver: str, links: Links, told_apart: object) -> Message:
    """The test message of `dataplatform alerts check`."""
    return Message(
        id=message_id("test", receiver, told_apart),
        event=Event.TEST,
        severity="test",
        title="this is a test, nothing is wrong",
        lines=(("receiver", receiver), ("runbook", f"{links.runbook}#who-is-told")),
    )
