"""Schedules: a close is a moment at which a period must be whole, not a way of its own to make things.

Each runs one op that calls what `dataplatform run` calls, bounded to days that are over, under the same lock. So a
close makes a day in order, wave by wave, and what was missed while the daemon was down comes with the next one.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's by value.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from dataplatform.automation.maintenance import MAINTENANCE
from dataplatform.automation.runs import QUIET, runs_at_work
from dataplatform.automation.switches import schedule_status
from dataplatform.errors import TransientError
from dataplatform.operations.daily_checks import JOB as DAILY_CHECKS
from dataplatform.operations.lock import run_lock
from dataplatform.operations.run import Build, RunSummary, run_stale
from dataplatform.planner.plan import make_plan

if TYPE_CHECKING:
    from dataplatform.project import Project

CLOSE_DAY, CLOSE_MONTH = "close_day", "close_month"
DAILY_CLOSE, MONTHLY_CLOSE = "daily_close", "monthly_close"
WAIT_SECONDS = 7200.0
"""How long a close waits for another run on the data folder; the monthly one comes behind that of its last day."""
_SHOWN = 20


class Period(dg.Config):
    """The business days of a close, both included; an empty `first` means everything before as well."""

    first: str = ""
    last: str


def build_close_jobs(project: "Project", build: Build) -> list[dg.JobDefinition]:
    """The jobs `close_day` and `close_month`; people may launch them too, for any period."""

    @dg.op(name="close", description="Makes everything of the period that is stale or missing, in order.")
    def close(context: dg.OpExecutionContext, config: Period) -> None:
        summary = _made(project, build, context.instance, config)
        _tell(context, config, summary, [])

    @dg.op(name="close_whole", description="The same; then the period is complete, or the run fails and says why not.")
    def close_whole(context: dg.OpExecutionContext, config: Period) -> None:
        summary = _made(project, build, context.instance, config)
        _tell(context, config, summary, open_points(project.current(), config))

    @dg.job(
        name=CLOSE_DAY, description="Brings all days that are over up to date.", executor_def=dg.in_process_executor
    )
    def close_day() -> None:
        close()

    @dg.job(name=CLOSE_MONTH, description="Closes a month, or says what it lacks.", executor_def=dg.in_process_executor)
    def close_month() -> None:
        close_whole()

    return [close_day, close_month]


def _made(project: "Project", build: Build, instance: dg.DagsterInstance, period: Period) -> RunSummary:
    try:
        with run_lock(project.settings.data_dir, wait=WAIT_SECONDS):
            return run_stale(project.current(), build, instance, first=period.first, last=period.last)
    except TransientError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def open_points(project: "Project", period: Period) -> list[str]:
    """What keeps a period from being complete: one line per table, nothing when it is."""
    plan = make_plan(project, first=period.first, last=period.last)
    lines = [f"{table}: no file on {', '.join(days)}" for table, days in plan.missing_files.items()]
    lines += [
        f"{table} {slice_.partition}: {slice_.reason}" for table in plan.stale for slice_ in plan.stale[table].values()
    ]
    lines += [f"{table}: waits for a rebuild" for table in plan.refused]
    lines += [f"{table}: is held" for table in plan.held]
    return lines + [f"{table}: {why}" for table, why in plan.down.items()]


def _tell(context: dg.OpExecutionContext, period: Period, summary: RunSummary, lacking: list[str]) -> None:
    """Leaves what was done with the run; raises Failure when something failed or is lacking."""
    for wave in summary.waves:
        context.log.info("%s %s: run %s", wave.title, ", ".join(wave.tables), wave.run_id)
    for warning in summary.warnings[:_SHOWN]:
        context.log.warning(warning)
    context.add_output_metadata(
        {"last day": period.last, "runs": len(summary.waves), "warnings": len(summary.warnings)}
    )
    wrong = [*summary.failed, *(line for line in lacking if line not in summary.failed)]
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise dg.Failure(description="\n".join([*wrong[:_SHOWN], *more]), allow_retries=False)


def build_schedules(project: "Project") -> list[dg.ScheduleDefinition]:
    """Daily close, monthly close, the daily checks over whole tables and maintenance, all by the business's clock."""
    hour, minute = (int(part) for part in project.settings.daily_close.split(":"))
    daily = f"{minute} {hour} * * *"
    return [
        _closing(project, DAILY_CLOSE, CLOSE_DAY, daily, day_before),
        _closing(project, MONTHLY_CLOSE, CLOSE_MONTH, f"{minute} {hour} 1 * *", month_before),
        _daily(
            project,
            DAILY_CHECKS,
            f"{minute} {hour} * * *",
            "Counts keys over whole tables, which a publication cannot, and reconciles every step.",
        ),
        _daily(
            project, MAINTENANCE, f"{minute} {hour} * * *", "Compacts, vacuums and prunes; changes no published row."
        ),
    ]


def day_before(today: date) -> Period:
    """All that was over when `today` began: what was missed before comes with it."""
    return Period(last=(today - timedelta(days=1)).isoformat())


def month_before(today: date) -> Period:
    """The month that was over when `today` began."""
    last = today.replace(day=1) - timedelta(days=1)
    return Period(first=last.replace(day=1).isoformat(), last=last.isoformat())


def _closing(
    project: "Project", name: str, job: str, cron: str, period_before: Callable[[date], Period]
) -> dg.ScheduleDefinition:
    zone = project.settings.business_zone

    @dg.schedule(
        name=name, cron_schedule=cron, execution_timezone=zone, job_name=job,
        default_status=schedule_status(project.settings, name),
        description="Makes what is stale of the days that are over, and says what it could not make.",
    )  # fmt: skip
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = runs_at_work(context.instance, job_name=job)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} is still at work")
        scheduled: datetime = context.scheduled_execution_time
        period = period_before(scheduled.astimezone(ZoneInfo(zone)).date())
        if period.last > project.current().days[-1] and not _anything(project.current()):
            return dg.SkipReason(f"the last business day is {project.current().days[-1]}, and everything is up to date")
        config = {**QUIET, "ops": {"close" if job == CLOSE_DAY else "close_whole": {"config": period.model_dump()}}}
        return dg.RunRequest(
            run_key=f"{name}:{period.last}", run_config=config, tags={"dataplatform/closes": period.last}
        )

    return tick


def _anything(project: "Project") -> bool:
    """Whether anything is stale, after the last day of all."""
    return bool(len(make_plan(project)))


def _daily(project: "Project", job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    """A job of its own name once a day, unless it is still at work."""

    @dg.schedule(
        name=job, cron_schedule=cron, execution_timezone=project.settings.business_zone, job_name=job,
        default_status=schedule_status(project.settings, job), description=description,
    )  # fmt: skip
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        running = runs_at_work(context.instance, job_name=job)
        if running:
            return dg.SkipReason(f"run {running[0].run_id} is still at work")
        return dg.RunRequest(run_config=QUIET)

    return tick
