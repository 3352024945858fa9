"""Schedules. They hold no state: each tick asks the planner what is stale now and requests its next wave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.contracts.model import Grain

if TYPE_CHECKING:
    from dataplatform.planner.waves import Wave
    from dataplatform.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SCHEDULED = "dataplatform/scheduled"
WHOLE_GRAPH = "__ASSET_JOB"
"""Dagster's own job over all assets. A job of ours could not hold daily and monthly tables at once."""
_AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """`keep_current`: every ten minutes, the next wave of what is stale, unless one is still at work."""

    @dg.schedule(
        name="keep_current",
        cron_schedule="*/10 * * * *",
        execution_timezone=project.settings.business_zone,
        job_name=WHOLE_GRAPH,
        description="Requests the planner's next wave of stale slices.",
    )
    def keep_current(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from dataplatform.planner.plan import make_plan
        from dataplatform.planner.waves import next_wave

        running = context.instance.get_runs(dg.RunsFilter(tags={SCHEDULED: "true"}, statuses=_AT_WORK), limit=1)
        if running:
            yield dg.SkipReason(f"run {running[0].run_id} is still at work")
            return
        wave = next_wave(project, make_plan(project))
        yield dg.SkipReason("nothing is stale") if wave is None else run_request(project, wave)

    return [keep_current]


def run_request(project: Project, wave: Wave) -> dg.RunRequest:
    """One wave as a run request, ranges by Dagster's own tags."""
    ranged = {} if wave.grain is Grain.NONE else {RANGE_START: wave.first, RANGE_END: wave.last}
    keys = [asset_key(project.catalog.get(table)) for table in wave.tables]
    return dg.RunRequest(asset_selection=keys, tags={SCHEDULED: "true", **ranged})
