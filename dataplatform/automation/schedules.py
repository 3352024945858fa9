"""Schedules. They hold no state: each tick asks the planner what is stale now and requests its next wave."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.definition import asset_key, op_name
from dataplatform.contracts.model import WHOLE, Grain
from dataplatform.reports.asset import REPORT_KEY
from dataplatform.reports.sales import report_stale
from dataplatform.warehouse.asset import WAREHOUSE_KEY
from dataplatform.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dataplatform.planner.waves import Wave
    from dataplatform.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SCHEDULED, WAVE = "dataplatform/scheduled", "dataplatform/wave"
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
        description="Requests the next wave of stale slices, and the serving layer when none is left.",
    )
    def keep_current(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = context.instance.get_runs(dg.RunsFilter(tags={SCHEDULED: "true"}, statuses=_AT_WORK), limit=1)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} is still at work")
        return _next_request(project.current(), context.instance) or dg.SkipReason("nothing is stale")

    return [keep_current]


def _next_request(project: Project, instance: dg.DagsterInstance) -> dg.RunRequest | None:
    """The next wave that has not failed as it stands: what failed once waits until something about it changes."""
    from dataplatform.planner.plan import make_plan
    from dataplatform.planner.waves import next_wave

    failed: set[tuple[str, str]] = set()
    while True:
        wave = next_wave(project, make_plan(project, failed=failed))
        if wave is None:
            break
        request = run_request(project, wave)
        filters = dg.RunsFilter(tags={WAVE: request.tags[WAVE]}, statuses=[dg.DagsterRunStatus.FAILURE])
        runs = instance.get_runs(filters, limit=1)
        if not runs:
            return request
        failed |= {
            (table, partition)
            for table in _failed_tables(project, instance, runs[0].run_id, wave)
            for partition in (wave.partitions if project.catalog.get(table).is_partitioned else (WHOLE,))
        }
    if Warehouse(project).stale() or report_stale(project):
        return dg.RunRequest(asset_selection=[WAREHOUSE_KEY, REPORT_KEY], tags={SCHEDULED: "true"})
    return None


def _failed_tables(project: Project, instance: dg.DagsterInstance, run_id: str, wave: Wave) -> tuple[str, ...]:
    """The tables whose own step failed; those skipped behind them may come with other slices. All when no step did."""
    steps = {s.step_key for s in instance.get_run_step_stats(run_id) if s.status and s.status.value == "FAILURE"}
    return tuple(table for table in wave.tables if op_name(project.catalog.get(table)) in steps) or wave.tables


def run_request(project: Project, wave: Wave) -> dg.RunRequest:
    """One wave as a run request, ranges by Dagster's own tags."""
    ranged = {} if wave.grain is Grain.NONE else {RANGE_START: wave.first, RANGE_END: wave.last}
    keys = [asset_key(project.catalog.get(table)) for table in wave.tables]
    return dg.RunRequest(asset_selection=keys, tags={SCHEDULED: "true", WAVE: _fingerprint(project, wave), **ranged})


def _fingerprint(project: Project, wave: Wave) -> str:
    """Tables, partitions, and all that would make another attempt come out differently: code, settings, deliveries."""
    said = [wave.title]
    for contract in map(project.catalog.get, wave.tables):
        said += [contract.name, project.version_of(contract)]
        if contract.source is not None:
            offers = project.source(contract).offers(wave.first, wave.last)
            said += [offer.signature for _, offer in sorted(offers.items())]
        for wanted in contract.inputs:
            revisions = project.lake.table(project.catalog.get(wanted.table)).open().state.revisions
            said += [f"{partition}={revision}" for partition, revision in sorted(revisions.items())]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
