"""What the automation asks for next. It holds no state: each look asks the planner what is stale now.

What was tried in vain waits (`planner/patience.py`), what others are at work on is left to them, and what a person
canceled has its peace. A request is named by its range, all that decides its result, and the number of the attempt;
the same request once more, after a kill or because it came to nothing, is spaced by growing delays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.automation.runs import (
    PULSE,
    QUIET,
    REQUESTED,
    WAVE,
    canceled_by_hand,
    ended_at,
    is_ours,
    runs_at_work,
    slices_of,
    tables_in_backfills,
)
from dataplatform.contracts.model import WHOLE, Grain
from dataplatform.operations.dead_runs import end_dead_runs
from dataplatform.operations.lock import holder
from dataplatform.operations.run import RANGE_END, RANGE_START
from dataplatform.planner.patience import delay
from dataplatform.planner.plan import Plan, SliceName, make_plan
from dataplatform.planner.pulse import pulse
from dataplatform.planner.renewal import renew_records
from dataplatform.planner.situation import Situations
from dataplatform.planner.waves import Wave, next_waves
from dataplatform.reports.asset import REPORT_KEY
from dataplatform.reports.sales import report_stale
from dataplatform.warehouse.asset import WAREHOUSE_KEY
from dataplatform.warehouse.contents import SERVED_LAYERS
from dataplatform.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

LONGEST_RANGE = 2_000
"""Partitions of one run at most: a run that dies loses no more, and 10,000 files are five runs."""
MOST_REQUESTS = 10
"""Runs that one tick asks for at most: ranges of the same tables, which do not depend on each other."""
LOOKS = 5
"""How often one tick plans again because everything it found has to wait."""


@dataclass
class Asked:
    """The answer of one look: requests, or why there are none."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    reason: str = ""


@dataclass
class Planned:
    """What was planned at one pulse. Kept in memory alone, to spare planning what has not changed."""

    pulse: str
    left_out: frozenset[SliceName]
    plan: Plan
    serving: str
    """What the serving layer should be made from, in short; empty when it is."""

    def holds(self, now: datetime) -> bool:
        waits = [each.until for slices in self.plan.waiting.values() for each in slices.values()]
        return all(until is None or now < until for until in waits)


class Requests:
    """Asks for what is next, for one code location."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._planned: Planned | None = None

    def look(self, instance: dg.DagsterInstance) -> Asked:
        """What to request now. Ends runs whose process is gone first, so that they hold nothing up."""
        project, now = self._project.current(), datetime.now(UTC)
        end_dead_runs(instance)
        runs = runs_at_work(instance)
        for run in runs:
            if is_ours(run):
                return Asked(reason=f"run {run.run_id} is still at work")
        held = holder(project.settings.data_dir)
        if held is not None:
            return Asked(reason=f"{held} is at work in the data folder")
        left_out = {name for run in runs for name in slices_of(project, run)}
        busy = tables_in_backfills(project, instance)
        left_out |= {(table, key) for table in busy for key in project.keys(project.catalog.get(table))}
        for run, until in canceled_by_hand(instance, now):
            if is_ours(run) and run.asset_selection is None:
                return Asked(
                    reason=f"run {run.run_id} ({run.job_name}) was canceled; nothing is asked for until {_at(until)}"
                )
            left_out |= slices_of(project, run)
        return self._next(project, instance, now, left_out)

    def _next(self, project: Project, instance: dg.DagsterInstance, now: datetime, left_out: set[SliceName]) -> Asked:
        waiting: Counter[str] = Counter()
        for _ in range(LOOKS):
            planned = self._plan(project, now, frozenset(left_out))
            waves = next_waves(project, planned.plan, LONGEST_RANGE)[:MOST_REQUESTS]
            if not waves:
                break
            requests, resting = [], set[SliceName]()
            for wave in waves:
                request = _request(project, planned, wave)
                again = _not_before(instance, request.tags[WAVE])
                if again is not None and now < again:
                    resting |= _slices(project, wave)
                    waiting[f"{wave.title or wave.tables[0]} until {_at(again)}"] += 1
                else:
                    requests.append(_numbered(instance, request))
            if requests:
                return Asked(requests)
            left_out |= resting
        return self._serving(instance, planned, now, sorted(waiting))

    def _plan(self, project: Project, now: datetime, left_out: frozenset[SliceName]) -> Planned:
        seen, kept = pulse(project), self._planned
        if kept is not None and (kept.pulse, kept.left_out) == (seen, left_out) and kept.holds(now):
            return kept
        plan = make_plan(project, failed=left_out, patient_at=now)
        renew_records(project, plan)
        self._planned = Planned(seen, left_out, plan, _serving_behind(project))
        return self._planned

    def _serving(self, instance: dg.DagsterInstance, planned: Planned, now: datetime, waiting: Sequence[str]) -> Asked:
        if planned.serving:
            tags = {REQUESTED: "true", WAVE: planned.serving}
            again = _not_before(instance, planned.serving)
            if again is None or now >= again:
                request = dg.RunRequest(
                    "serving", run_config=QUIET, asset_selection=[WAREHOUSE_KEY, REPORT_KEY], tags=tags
                )
                return Asked([_numbered(instance, request)])
            waiting = [*waiting, f"warehouse and report until {_at(again)}"]
        return Asked(reason=_nothing(planned.plan, waiting))


def _nothing(plan: Plan, waiting: Sequence[str]) -> str:
    """Why nothing is requested, with what is left alone and why: one line, shown at the tick."""
    told = [f"{table} {key}: {each.reason}" for table, slices in plan.waiting.items() for key, each in slices.items()]
    told += list(waiting)
    told += [f"{table}: {reason}" for table, reason in plan.down.items()]
    if not told:
        return "nothing is stale"
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return f"nothing that can be made now is stale; waiting: {'; '.join(told[:3])}{more}"


def _request(project: Project, planned: Planned, wave: Wave) -> dg.RunRequest:
    """One wave as a run request, its range by Dagster's own tags."""
    ranged = {} if wave.grain is Grain.NONE else {RANGE_START: wave.first, RANGE_END: wave.last}
    tags = {REQUESTED: "true", WAVE: _fingerprint(project, planned.plan, wave), PULSE: planned.pulse, **ranged}
    keys = [asset_key(project.catalog.get(table)) for table in wave.tables]
    return dg.RunRequest(wave.title or "whole", run_config=QUIET, asset_selection=keys, tags=tags)


def _numbered(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.RunRequest:
    """The request with its key: range, hash of all that decides what it comes to, number of the attempt."""
    wave = request.tags[WAVE]
    attempt = instance.get_runs_count(dg.RunsFilter(tags={WAVE: wave})) + 1
    return request.with_replaced_attrs(run_key=f"{request.run_key}:{wave}:{attempt}")


def _not_before(instance: dg.DagsterInstance, wave: str) -> datetime | None:
    """When a request that was made before, and is there again, may be made next; None when it never was."""
    records = instance.get_run_records(dg.RunsFilter(tags={WAVE: wave}), limit=20)
    return ended_at(records[0]) + delay(len(records)) if records else None


def _fingerprint(project: Project, plan: Plan, wave: Wave) -> str:
    @cache
    def opened(table: str) -> Opened:
        return project.lake.table(project.catalog.get(table)).open()

    situations = Situations(project, opened)
    said = [wave.title]
    for table, partition in sorted(_slices(project, wave)):
        found = situations.of(project.catalog.get(table), partition, plan.stale[table][partition].signature)
        said.append(f"{table} {partition} {found}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def _slices(project: Project, wave: Wave) -> set[SliceName]:
    return {
        (table, partition)
        for table in wave.tables
        for partition in (wave.partitions if project.catalog.get(table).is_partitioned else (WHOLE,))
    }


def _serving_behind(project: Project) -> str:
    """Empty when warehouse and report are up to date; else the revisions that they should be made from, in short."""
    if not (Warehouse(project).stale() or report_stale(project)):
        return ""
    tables = [project.lake.table(c).open() for c in project.catalog if c.layer in SERVED_LAYERS]
    said = [f"{each.table.contract.name} {sorted(each.state.revisions.items())}" for each in tables]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def _at(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
