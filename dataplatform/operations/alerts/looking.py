"""Looking for what is wrong now, from every side, and taking it into the outbox.

Two sources, so that a run, which sees the tables alone, does not take back what the sensor found about Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.problem import Problem, scrubbed
from dataplatform.operations.alerts.runs import Watched, dagster_problems, failed_runs, is_moving, run_problems
from dataplatform.operations.alerts.tables import (
    changed_contracts,
    failed_slices,
    held_tables,
    late_tables,
    missing_files,
    rule_problems,
    sources_down,
    stale_slices,
)
from dataplatform.operations.alerts.verdicts import standing_verdicts
from dataplatform.planner.freshness import freshness
from dataplatform.planner.plan import make_plan

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.operations.alerts.outbox import Outbox
    from dataplatform.operations.alerts.setting import AlertSetting
    from dataplatform.project import Project

TABLES, DAGSTER = "tables", "dagster"
WHILE_MOVING = 86400.0
"""While runs are at work a slice may be stale for so long before somebody is told."""


def table_problems(
    project: Project, instance: DagsterInstance, now: datetime, stale_after: float = 7200.0
) -> list[Problem]:
    """What is wrong with tables now, one problem per table and cause, however many partitions it holds for."""
    plan = make_plan(project)
    verdicts = standing_verdicts(project.settings.data_dir, project.lake.root)
    judged = failed_slices(plan, verdicts)
    runs = failed_runs(project, instance, plan)
    broken = list(run_problems(project, instance, runs, judged))
    failed = judged.union(*runs.slices.values())
    possible = make_plan(project, failed=failed) if failed else plan
    grace = max(stale_after, WHILE_MOVING) if is_moving(instance, now) else stale_after
    states = freshness(project, now)
    found = [
        *rule_problems(project, verdicts, judged),
        *broken,
        *changed_contracts(project, plan),
        *held_tables(project, plan),
        *sources_down(project, plan),
        *late_tables(project, plan, states),
        *missing_files(project, plan, now, states),
        *stale_slices(project, possible, grace),
    ]
    return [scrubbed(each) for each in found]


def look(
    project: Project,
    instance: DagsterInstance,
    setting: AlertSetting,
    now: datetime,
    watched: Watched | None = None,
) -> Callable[[Outbox], None]:
    """Looks, and gives what takes the findings into an outbox. Without `watched`, at the tables alone."""

    def take_in(outbox: Outbox) -> None:
        found = table_problems(project.current(), instance, now, setting.limits.stale_after)
        outbox.observe(TABLES, found, now.timestamp())
        if watched is not None:
            others = [scrubbed(each) for each in dagster_problems(instance, watched, now)]
            outbox.observe(DAGSTER, others, now.timestamp())

    return take_in
