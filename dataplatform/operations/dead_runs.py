"""Runs that Dagster holds to be at work and whose process is gone: after a kill, a crash or a loss of power.

Dagster's own launcher does not look: such a run stays "started" for ever, takes one of the places in the queue, and
keeps the automation waiting. A run says in its events in which process it works; that is what is looked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import psutil

if TYPE_CHECKING:
    from dagster._core.storage.dagster_run import RunRecord

LAUNCH_SECONDS = 300.0
"""A run that has named no process for so long is not going to."""
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_EVENTS = 200
"""Enough to come upon the process: it is named when the run starts."""


@dataclass(frozen=True, slots=True)
class DeadRun:
    """A run that stands as unfinished, and why it cannot be at work any more."""

    run_id: str
    status: str
    reason: str


def dead_runs(instance: dg.DagsterInstance) -> list[DeadRun]:
    """Every run that is dead now. Changes nothing."""
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED)):
        reason = _dead(instance, record)
        if reason is not None:
            found.append(DeadRun(record.dagster_run.run_id, record.dagster_run.status.value, reason))
    return found


def end_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Gives every dead run its end: canceled when that was asked for, else failed. Returns their ids."""
    return [dead.run_id for dead in dead_runs(instance) if end_dead_run(instance, dead)]


def end_dead_run(instance: dg.DagsterInstance, dead: DeadRun) -> bool:
    """Gives one dead run its end; whether it was still without one: it may have ended well since it was looked at."""
    run = instance.get_run_by_id(dead.run_id)
    if run is None or run.is_finished:
        return False
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, dead.reason)
    else:
        instance.report_run_failed(run, dead.reason)
    return True


def _dead(instance: dg.DagsterInstance, record: RunRecord) -> str | None:
    """Why a run cannot be at work any more; None when it may be."""
    processes = _processes(instance, record.dagster_run.run_id)
    if not processes:
        waited = time.time() - max(record.create_timestamp.timestamp(), record.update_timestamp.timestamp())
        return f"no process took it up in {LAUNCH_SECONDS:g} s" if waited > LAUNCH_SECONDS else None
    if any(_is_alive(pid, named) for pid, named in processes):
        return None
    return f"its process {processes[-1][0]} is gone"


def _processes(instance: dg.DagsterInstance, run_id: str) -> list[tuple[int, float]]:
    """The processes that a run named, with when it did."""
    found = []
    events = {dg.DagsterEventType.ENGINE_EVENT}
    for entry in instance.event_log_storage.get_logs_for_run(run_id, of_type=events, limit=_EVENTS):
        data = entry.dagster_event.engine_event_data if entry.dagster_event else None
        pid = data.metadata.get("pid") if data else None
        if pid is not None:
            found.append((int(str(pid.value)), entry.timestamp))
    return found


def _is_alive(pid: int, named: float) -> bool:
    """Whether the process still runs, and is not another one that got its number since."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= named + 1
    except psutil.NoSuchProcess:
        return False
