"""Alerts as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.problem import ONCE
from dataplatform.operations.text import count, table

if TYPE_CHECKING:
    from dataplatform.operations.alerts.outbox import Alert, Outbox, Telling
    from dataplatform.operations.alerts.setting import AlertSetting

NOBODY = "nobody is told: DATAPLATFORM_ALERTS names no file of receivers"


def list_text(outbox: Outbox, setting: AlertSetting, now: datetime) -> str:
    """Every open problem with since when it stands and who was told, then how receivers do."""
    alerts = open_alerts(outbox, now)
    tellings = outbox.tellings()
    lines = [_headline(alerts)]
    if alerts:
        headers = ("severity", "problem", "partitions", "since (UTC)", "told", "fingerprint")
        lines.append(table(headers, [_row(each, tellings, setting, now) for each in alerts]))
        lines += [f"  {each.problem.fingerprint}: {each.problem.found}" for each in alerts if each.problem.found]
    lines += _receivers(outbox, setting)
    if not setting.receivers:
        lines.append(NOBODY)
    return "\n".join(lines)


def open_alerts(outbox: Outbox, now: datetime) -> list[Alert]:
    """The problems that are open and have stood for long enough to be told."""
    return [each for each in outbox.alerts() if each.resolved_at is None and each.ripe(now.timestamp())]


def open_line(outbox: Outbox, setting: AlertSetting, now: datetime) -> str:
    """What a run says at its end; nothing when nothing is wrong."""
    alerts = open_alerts(outbox, now)
    if not alerts:
        return ""
    nobody = "" if setting.receivers else "; nobody is told of them"
    return f"{_headline(alerts)}: see `dataplatform alerts list`{nobody}"


def _headline(alerts: list[Alert]) -> str:
    errors = sum(each.problem.severity.value == "error" for each in alerts)
    if not alerts:
        return "no open problems"
    return f"open problems: {count(errors, 'error')}, {count(len(alerts) - errors, 'warning')}"


def _row(
    alert: Alert, tellings: Mapping[tuple[str, str], Telling], setting: AlertSetting, now: datetime
) -> tuple[object, ...]:
    ripe = [partition for partition, _ in alert.ripe(now.timestamp()) if partition != ONCE]
    shown = "" if not ripe or ripe == ["all"] else ripe[0] if len(ripe) == 1 else f"{len(ripe):,} from {ripe[0]}"
    told = ", ".join(_told(alert, tellings, setting, now)) or "nobody"
    since = _instant(alert.first_seen)
    return alert.problem.severity.value, alert.problem.title, shown, since, told, alert.problem.fingerprint


def _told(
    alert: Alert, tellings: Mapping[tuple[str, str], Telling], setting: AlertSetting, now: datetime
) -> Iterator[str]:
    if alert.silenced_until > now.timestamp():
        yield f"silenced until {_instant(alert.silenced_until)}"
    for name in setting.receivers_of(alert.problem):
        telling = tellings.get((alert.problem.fingerprint, name))
        if telling is None:
            yield f"{name} not yet"
        elif telling.told_at is None:
            yield f"{name} held back"
        else:
            yield name


def _receivers(outbox: Outbox, setting: AlertSetting) -> Iterator[str]:
    for name, state in outbox.receivers().items():
        if name in setting.receivers and state.failures:
            since = _instant(state.failing_since or 0)
            yield f"{name} cannot be told since {since}: {state.reason} ({count(state.failures, 'failure')} in a row)"
        elif name in setting.receivers and state.reason:
            yield f"{name}: {state.reason}"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
