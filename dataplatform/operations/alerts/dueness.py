"""What each receiver must be told now: the difference between what is wrong and what it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.message import Event, Links, Message, problem_message, summary_message

if TYPE_CHECKING:
    from dataplatform.operations.alerts.outbox import Alert, Outbox, Telling
    from dataplatform.operations.alerts.setting import AlertSetting

HOUR = 3600.0
MORE_AFTER = HOUR
"""Partitions that join a problem are told at most so often: a bad rule meets one day after the other."""
MOST_AT_ONCE = 25
"""Messages that one telling sends to one receiver; the rest follows with the next."""


@dataclass(frozen=True, slots=True)
class Due:
    """One message that a receiver must get, and what to mark when it has accepted it."""

    message: Message
    marks: tuple[tuple[str, bool], ...]
    """(fingerprint, whether it says that the problem is over)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one receiver gets now, in order, and which problems the rate limit holds back from it."""

    receiver: str
    due: tuple[Due, ...]
    held: tuple[str, ...] = ()


def batches(outbox: Outbox, setting: AlertSetting, links: Links, now: float) -> list[Batch]:
    """What is due, by receiver; receivers with nothing due are left out."""
    alerts, tellings = outbox.alerts(), outbox.tellings()
    found = []
    for receiver in setting.receivers:
        fresh: list[Due] = []
        held: list[Due] = []
        over: list[str] = []
        for alert in alerts:
            telling = tellings.get((alert.problem.fingerprint, receiver))
            due = _due(alert, telling, receiver, setting, links, now)
            if due is not None:
                (held if telling is not None and telling.held_since is not None else fresh).append(due)
            elif telling is not None and telling.told_at is None and alert.resolved_at is not None:
                over.append(alert.problem.fingerprint)
        free = setting.limits.messages_per_hour - outbox.sent_since(receiver, now - HOUR)
        batch = _limited(receiver, fresh, held, over, links, max(free, 0), now)
        if batch.due or batch.held:
            found.append(batch)
    return found


def _due(
    alert: Alert, telling: Telling | None, receiver: str, setting: AlertSetting, links: Links, now: float
) -> Due | None:
    told_at = None if telling is None else telling.told_at
    event, new = _event(alert, telling, setting, now)
    is_over = event is Event.RESOLVED
    if event is None or (not is_over and receiver not in setting.receivers_of(alert.problem)):
        return None
    ripe = [name for name, _ in alert.ripe(now)]
    shown = alert.problem if is_over else replace(alert.problem, partitions=tuple(ripe))
    first_seen = datetime.fromtimestamp(alert.first_seen, UTC)
    # the same id until the receiver has accepted it, and another one afterwards
    message = problem_message(shown, event, first_seen, links, told_apart=told_at, new=new)
    return Due(message, ((alert.problem.fingerprint, is_over),))


def _event(alert: Alert, telling: Telling | None, setting: AlertSetting, now: float) -> tuple[Event | None, int]:
    """What there is to say of a problem to one receiver, and how many partitions joined it."""
    if telling is None or telling.told_at is None:
        is_due = alert.resolved_at is None and alert.silenced_until <= now and bool(alert.ripe(now))
        return (Event.PROBLEM if is_due else None), 0
    if alert.resolved_at is not None:
        return Event.RESOLVED, 0
    if alert.silenced_until > now:
        return None, 0
    new = sum(since > (telling.seen_until or 0.0) for _, since in alert.ripe(now))
    if new and now - telling.told_at >= MORE_AFTER:
        return Event.MORE, new
    return (Event.REMINDER if now - telling.told_at >= setting.limits.remind_after else None), 0


def _limited(
    receiver: str,
    fresh: Sequence[Due],
    held: Sequence[Due],
    over: Sequence[str],
    links: Links,
    free: int,
    now: float,
) -> Batch:
    """What was held back goes first, in one summary; then single messages as far as the limit allows."""
    due: list[Due] = []
    if free and (held or over):
        marks = [mark for each in held for mark in each.marks] + [(fingerprint, True) for fingerprint in over]
        summary = summary_message([each.message for each in held], len(over), links, told_apart=int(now // HOUR))
        due.append(Due(summary, tuple(marks)))
    due += fresh[: max(free - len(due), 0)]
    kept = fresh[max(free - (1 if free and (held or over) else 0), 0) :]
    return Batch(receiver, tuple(due[:MOST_AT_ONCE]), tuple(_fingerprints(kept)))


def _fingerprints(held: Sequence[Due]) -> Iterator[str]:
    for each in held:
        yield from (fingerprint for fingerprint, _ in each.marks)


def waiting(outbox: Outbox, setting: AlertSetting, links: Links, now: float) -> Mapping[str, int]:
    """How many messages each receiver has yet to get, also those that the rate limit holds back."""
    return {batch.receiver: len(batch.due) + len(batch.held) for batch in batches(outbox, setting, links, now)}
