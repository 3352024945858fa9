"""Dagster's own records past their retention: runs, their logs, ticks; and the room they took is given back.

Dagster has no such thing in its open-source version, and deleting a run deletes what it says of assets. So a run that
is the last to tell of a partition or a check keeps its row and those events, and loses only its detailed log: what
the UI shows of every table stays exactly as it was. Reporting the events again would not do: they would be dated today.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.operations.event_log import PooledSqliteEventLogStorage

if TYPE_CHECKING:
    import dagster as dg

MOST_RUNS = 5_000
"""How many runs one call looks at, the oldest first, so that the first one on an old instance ends."""
WASTED = 0.2
"""The share of unused pages from which a file is rewritten without them."""
_STATE_EVENTS = (
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_FAILED_TO_MATERIALIZE",
)
_FILES = ("history/runs/index.db", "history/runs.db", "schedules/schedules.db")
_BUSY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was (or would be) removed from the instance."""

    deleted: int = 0
    """Runs of which nothing is left."""
    shortened: int = 0
    """Runs that keep their row and what they say of assets, and have lost their log."""
    ticks: int = 0
    size: int = 0
    """Bytes of the instance's folder before, and after."""
    size_after: int = 0
    notes: tuple[str, ...] = ()


def prune_instance(instance: dg.DagsterInstance, before: datetime, *, dry_run: bool) -> Pruned:
    """Removes runs that ended before `before`, and ticks; each asset's and check's latest state stays as it is."""
    home = Path(instance.root_directory)
    size, log = _size(home), instance.event_log_storage
    if not isinstance(log, PooledSqliteEventLogStorage):  # another storage was configured: it has its own tools
        return Pruned(size=size, size_after=size, notes=("the event log is not the platform's; it is left alone",))
    old, needed = _old_runs(instance, before), _needed_runs(log)
    gone = [run for run in old if run not in needed]
    # a run whose log went before has nothing left to lose
    shortened = [run for run in old if run in needed and (Path(log.path_for_shard(run)).exists() or _logs(home, run))]
    ticks = _prune_ticks(instance, before, dry_run=dry_run)
    if dry_run:
        return Pruned(len(gone), len(shortened), ticks, size, size)
    for run_id in gone:
        instance.delete_run(run_id)
    _forget_tags_and_checks(instance, log, gone)
    for run_id in [*gone, *shortened]:
        log.forget_run(run_id)
        for folder in _logs(home, run_id):
            shutil.rmtree(folder, ignore_errors=True)
    notes = [note for file in _FILES if (note := _shrink(home / file))]
    return Pruned(len(gone), len(shortened), ticks, size, _size(home), tuple(notes))


def _old_runs(instance: dg.DagsterInstance, before: datetime) -> list[str]:
    from dagster import DagsterRunStatus, RunsFilter

    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    filters = RunsFilter(statuses=ended, updated_before=before)
    return [record.dagster_run.run_id for record in instance.get_run_records(filters, MOST_RUNS, ascending=True)]


def _needed_runs(log: PooledSqliteEventLogStorage) -> frozenset[str]:
    """The runs that tell last of a partition or a check."""
    import sqlalchemy as sa

    latest = sa.text(
        "SELECT DISTINCT run_id FROM event_logs WHERE id IN (SELECT max(id) FROM event_logs "
        "WHERE asset_key IS NOT NULL AND dagster_event_type IN :kinds "
        "GROUP BY asset_key, partition, dagster_event_type) "
        "UNION SELECT run_id FROM asset_check_executions WHERE id IN "
        "(SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name, partition)"
    ).bindparams(sa.bindparam("kinds", list(_STATE_EVENTS), expanding=True))
    with log.index_connection() as connection:
        return frozenset(row[0] for row in connection.execute(latest) if row[0])


def _forget_tags_and_checks(
    instance: dg.DagsterInstance, log: PooledSqliteEventLogStorage, runs: Collection[str]
) -> None:
    """What Dagster leaves of a run that it deletes: its tags and its checks' earlier verdicts."""
    import sqlalchemy as sa
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.runs.schema import RunTagsTable

    from dataplatform.operations.run_storage import PooledSqliteRunStorage

    chosen = list(runs)
    for start in range(0, len(chosen), 500):  # SQLite takes so many values in one statement
        some = chosen[start : start + 500]
        with log.index_connection() as connection:
            connection.execute(sa.delete(AssetCheckExecutionsTable).where(AssetCheckExecutionsTable.c.run_id.in_(some)))
        if isinstance(instance.run_storage, PooledSqliteRunStorage):
            with instance.run_storage.connect() as connection:
                connection.execute(sa.delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(some)))


def _prune_ticks(instance: dg.DagsterInstance, before: datetime, *, dry_run: bool) -> int:
    """Ticks of schedules and sensors, but for each one's latest: without it a schedule believes that it never ran."""
    found = 0
    for state in instance.all_instigator_state():
        names = (state.instigator_origin_id, state.selector_id)
        ticks = instance.get_ticks(*names, limit=1)
        if not ticks:
            continue
        until = min(before.timestamp(), ticks[0].timestamp)
        found += len(instance.get_ticks(*names, before=until))
        if not dry_run:
            instance.purge_ticks(*names, before=until)
    return found


def _logs(home: Path, run_id: str) -> list[Path]:
    """Where the run's printed output is kept."""
    return [folder for folder in [home / "storage" / run_id] if folder.is_dir()]


def _shrink(file: Path) -> str:
    """Rewrites an SQLite file without its unused pages, when they are many. Why not, if others are at work in it."""
    if not file.exists():
        return ""
    with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        asked = (connection.execute(f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
        pages, unused = (answer.fetchone()[0] for answer in asked)
        try:
            if unused > pages * WASTED:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            return f"{file.name} is in use ({error}); its room is given back next time"
    return ""


def _size(home: Path) -> int:
    total = 0
    for path in home.rglob("*"):
        with contextlib.suppress(OSError):  # it went while we looked
            total += path.stat().st_size if path.is_file() else 0
    return total
