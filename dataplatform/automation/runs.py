"""What Dagster's runs are about: which slices each was asked to make, which are at work, which were canceled."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.contracts.model import WHOLE
from dataplatform.operations.run import RANGE_END, RANGE_START

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

    from dataplatform.planner.plan import SliceName
    from dataplatform.project import Project

REQUESTED, WAVE, PULSE = "dataplatform/scheduled", "dataplatform/wave", "dataplatform/pulse"
"""Tags of what the platform itself requests: that it did, the hash of what was asked for, and of what it then saw."""
CLOSES = frozenset({"close_day", "close_month"})
"""Jobs that make everything of a period, under the run lock."""
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
"""Run config: the events of a run are in the UI; the terminal of `dataplatform up` shows errors."""
PEACE = timedelta(hours=1)
"""How long what a person canceled is left alone."""
AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def runs_at_work(instance: dg.DagsterInstance, **filters: object) -> list[dg.DagsterRun]:
    """Every run that is not finished; `filters` as of `dagster.RunsFilter`."""
    return list(instance.get_runs(dg.RunsFilter(statuses=AT_WORK, **filters)))  # type: ignore[arg-type]


def is_ours(run: dg.DagsterRun) -> bool:
    """Whether the automation asked for it, so that its work is what a tick would ask for."""
    return run.tags.get(REQUESTED) == "true" or run.job_name in CLOSES


def slices_of(project: Project, run: dg.DagsterRun) -> set[SliceName]:
    """The slices that a run was asked to make; those of its whole range for every table in it."""
    first = run.tags.get(RANGE_START) or run.tags.get("dagster/partition") or ""
    last = run.tags.get(RANGE_END) or first
    found: set[SliceName] = set()
    for contract in project.catalog:
        if run.asset_selection is None or asset_key(contract) in run.asset_selection:
            keys = project.keys(contract) if contract.is_partitioned else (WHOLE,)
            found |= {(contract.name, key) for key in keys if key == WHOLE or first <= key <= last}
    return found


def tables_in_backfills(project: Project, instance: dg.DagsterInstance) -> set[str]:
    """The tables of backfills that a person started and that still launch runs."""
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

    statuses = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING]
    asked = {
        key
        for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=statuses))
        for key in backfill.asset_selection or ()
    }
    return {contract.name for contract in project.catalog if asset_key(contract) in asked}


def canceled_by_hand(instance: dg.DagsterInstance, now: datetime) -> Iterable[tuple[dg.DagsterRun, datetime]]:
    """Runs that a person canceled and until when what they made is left alone.

    Who asks for a cancellation is written down before it happens. A run that was stopped with its services was not
    asked for, and is not among them.
    """
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED], updated_after=now - PEACE)
    for record in instance.get_run_records(filters):
        run_id = record.dagster_run.run_id
        asked = instance.event_log_storage.get_logs_for_run(run_id, of_type={dg.DagsterEventType.RUN_CANCELING})
        until = ended_at(record) + PEACE
        if asked and now < until:
            yield record.dagster_run, until


def ended_at(record: RunRecord) -> datetime:
    """When a run ended; when it was last heard of, where that is not known."""
    if record.end_time is not None:
        return datetime.fromtimestamp(record.end_time, UTC)
    heard: datetime = record.update_timestamp
    return heard if heard.tzinfo else heard.replace(tzinfo=UTC)
