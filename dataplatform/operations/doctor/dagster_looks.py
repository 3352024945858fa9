"""Looks at Dagster: the instance's files, its daemons, runs without a process, and what ended runs still hold."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import one_line
from dataplatform.operations.doctor.finding import Finding, Kind, error, warning
from dataplatform.operations.doctor.patient import NotThereError
from dataplatform.operations.text import count

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.operations.dead_runs import DeadRun
    from dataplatform.operations.doctor.patient import Patient

_FILES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_NEWEST_LOGS = 100
"""Logs of single runs that are looked through: each costs a millisecond, and an old one hardly gets damaged."""
_ANEW = "stop what runs, move {} away, then `dataplatform run`: the lake decides what is stale, only old runs are lost"


def agreement(patient: Patient) -> Iterator[Finding]:
    """Whether DAGSTER_HOME names the data folder's instance, wherever it is named."""
    from dataplatform.operations.instance import InstanceError, require_agreement

    try:
        require_agreement(patient.settings, patient.folder, patient.environ)
    except InstanceError as refused:
        yield error(Kind.DAGSTER_HOME_DISAGREES, str(refused), "unset DAGSTER_HOME where the message says")


def instance_files(patient: Patient) -> Iterator[Finding]:
    """Whether the instance's files are whole. That there is none is right before the first run."""
    home = patient.settings.dagster_home
    for path in [home / name for name in _FILES]:
        wrong = _damage(path)
        if wrong:
            yield error(Kind.INSTANCE_DAMAGED, f"{path}: {wrong}", _ANEW.format(home))
    logs = [path for path in (home / "history" / "runs").glob("*.db") if not path.name.startswith((".", "index"))]
    for path in sorted(logs, key=lambda each: each.stat().st_mtime, reverse=True)[:_NEWEST_LOGS]:
        wrong = _damage(path)
        if wrong:
            what = f"{path}: {wrong}; the log of one run cannot be shown, nothing else is concerned"
            yield warning(Kind.INSTANCE_DAMAGED, what, f"move {path} away")


def opening(patient: Patient) -> Iterator[Finding]:
    """Whether Dagster opens the instance."""
    try:
        patient.instance.get_runs_count()
    except NotThereError as missing:
        if missing.__cause__ is not None:
            home = patient.settings.dagster_home
            reason = one_line(missing.__cause__)
            yield error(Kind.INSTANCE_DAMAGED, f"{home} cannot be opened: {reason}", _ANEW.format(home))


def _damage(path: Path) -> str:
    """What SQLite finds wrong with a file; nothing for one that is whole or not there."""
    if not path.is_file():
        return ""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as failed:  # busy, or not to be read at this moment
        return "" if "locked" in str(failed) else str(failed)
    except sqlite3.DatabaseError as failed:
        return str(failed)
    return "" if said == "ok" else one_line(ValueError(said))


def daemons(patient: Patient) -> Iterator[Finding]:
    """Daemons that were at work and give no sign of life any more."""
    from dataplatform.operations.alerts.runs import Watched, dagster_problems

    for found in dagster_problems(patient.instance, Watched(), patient.now):
        yield Finding(found.kind, found.severity, f"{found.title}: {found.found}", "dataplatform up")


def stuck_runs(patient: Patient) -> Iterator[Finding]:
    """Runs that stand as started and whose process is gone: each takes a place in the queue."""
    from dataplatform.operations.dead_runs import dead_runs

    for dead in dead_runs(patient.instance):
        what = f"run {dead.run_id} stands as {dead.status}, but {dead.reason}"
        yield error(Kind.RUN_STUCK, what, "dataplatform doctor --fix", partial(_end, patient.instance, dead))


def _end(instance: DagsterInstance, dead: DeadRun) -> str:
    from dataplatform.operations.dead_runs import end_dead_run

    ended = end_dead_run(instance, dead)
    instance.event_log_storage.free_concurrency_slots_for_run(dead.run_id)
    return "it was given its end" if ended else "it has ended by itself meanwhile"


def leaked_slots(patient: Patient) -> Iterator[Finding]:
    """Slots of pools that runs hold which ended or are forgotten: steps wait for them for ever."""
    storage = patient.instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    held: dict[str, set[tuple[str, str]]] = {}
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        steps = [(slot.run_id, slot.step_key) for slot in info.claimed_slots]
        steps += [(step.run_id, step.step_key) for step in info.pending_steps]
        for run_id, step in steps:  # one that has its slot is in both
            held.setdefault(run_id, set()).add((pool, step))
    for run_id, waiting in held.items():
        run = patient.instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            state = "is forgotten" if run is None else f"ended ({run.status.value})"
            pools = ", ".join(sorted({pool for pool, _ in waiting}))
            what = f"run {run_id} {state} and holds or awaits {count(len(waiting), 'slot')} of {pools}"
            yield error(Kind.SLOTS_LEAKED, what, "dataplatform doctor --fix", partial(_free, patient.instance, run_id))


def _free(instance: DagsterInstance, run_id: str) -> str:
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return "they are free again"
