"""The standing check: no partition is left failed, missing or stale for long without somebody being told.

It starts from the plan, not from the problems: what they overlook, it finds. What it asks of a slice is an open alert
of its own, or of a slice it waits for, that a receiver has accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.problem import ONCE
from dataplatform.operations.alerts.tables import late_files
from dataplatform.operations.text import count, ranges
from dataplatform.planner.plan import make_plan

if TYPE_CHECKING:
    from dataplatform.operations.alerts.outbox import Alert, Outbox
    from dataplatform.operations.alerts.setting import AlertSetting
    from dataplatform.planner.plan import Plan, SliceName
    from dataplatform.project import Project

TOLD_WITHIN = 3600.0
"""How long after a problem is due to be told it may still be untold: receivers rest, limits hold back."""


@dataclass(frozen=True)
class _Cover:
    """Which slices an open alert speaks of, and until when nobody may ask whether it was told."""

    slices: frozenset[SliceName]
    is_told: bool
    in_time: float

    def covers(self, name: SliceName) -> bool:
        return name in self.slices or (name[0], ONCE) in self.slices


def untold(project: Project, outbox: Outbox, setting: AlertSetting, now: datetime) -> list[str]:
    """One line per table with slices that are left and that nobody was told of; empty when all is well."""
    plan = make_plan(project)
    left = _left(project, plan, now)
    good = [cover for cover in _covers(project, outbox) if cover.is_told or cover.in_time > now.timestamp()]
    lines = []
    for table, partitions in left.items():
        waits = {partition: _causes(plan, (table, partition)) for partition in partitions}
        alone = [p for p, causes in waits.items() if not any(c.covers(name) for c in good for name in causes)]
        if alone:
            contract = project.catalog.get(table)
            which = ranges(alone, project.keys(contract))
            kinds = " and ".join(sorted({partitions[p] for p in alone}))
            lines.append(f"{contract.full_name}: {count(len(alone), 'partition')} {kinds}{_colon(which)}")
    if lines and not setting.receivers:
        lines.append("nobody is configured to be told: DATAPLATFORM_ALERTS names no file")
    return lines


def _colon(text: str) -> str:
    return f": {text}" if text else ""


def _left(project: Project, plan: Plan, now: datetime) -> dict[str, dict[str, str]]:
    """What is left, by table and partition, in a word."""
    found = {table: dict.fromkeys(slices, "stale") for table, slices in plan.stale.items()}
    for table, late in late_files(project, plan, now).items():
        found.setdefault(table, {}).update(dict.fromkeys(late, "missing"))
    for table in plan.down:
        found.setdefault(table, {})[ONCE] = "without a source"
    for table in plan.refused:
        found.setdefault(table, {})[ONCE] = "waiting for a rebuild"
    for table, held in plan.held.items():
        found.setdefault(table, {}).update(dict.fromkeys(held.waiting, "waiting for a release"))
    return found


def _causes(plan: Plan, name: SliceName) -> set[SliceName]:
    """A slice and every slice that it waits for."""
    found: set[SliceName] = set()
    todo = [name]
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            slice_ = plan.stale.get(each[0], {}).get(each[1])
            todo += [] if slice_ is None else slice_.after
    return found


def _covers(project: Project, outbox: Outbox) -> Iterator[_Cover]:
    tables = {contract.full_name: contract.name for contract in project.catalog}
    told = {fingerprint for (fingerprint, _), telling in outbox.tellings().items() if telling.told_at is not None}
    for alert in outbox.alerts():
        if alert.resolved_at is None and alert.problem.is_table:
            yield _cover(alert, tables, is_told=alert.problem.fingerprint in told)


def _cover(alert: Alert, tables: Mapping[str, str], *, is_told: bool) -> _Cover:
    table = tables.get(alert.problem.subject, "")
    newest = max((since for _, since in alert.seen), default=alert.first_seen)
    in_time = max(newest + alert.problem.grace + TOLD_WITHIN, alert.silenced_until)
    return _Cover(frozenset((table, partition) for partition, _ in alert.seen), is_told, in_time)
