"""Keeping house: compaction, vacuum, checkpoints, histories and Dagster's records past their retention.

Nothing that people can see changes, and nothing becomes stale. It runs beside everything else: Delta decides between
a compaction and a publication of the same files (the publication wins, or is made again), only runs that ended are
pruned, and only what dead processes left is removed. A lock keeps a second maintenance out, and no run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import one_line
from dataplatform.lake.maintenance import Tidied, keep_files, keep_log
from dataplatform.lake.platform_tables import QUARANTINE, PlatformTables
from dataplatform.lake.records import record_housekeeping
from dataplatform.operations.lock import run_lock
from dataplatform.operations.prune import Pruned, prune_instance
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    import dagster as dg

    from dataplatform.lake.table import LakeTable
    from dataplatform.project import Project

LOCK = "maintain.lock"


@dataclass
class Maintenance:
    """What one maintenance did, or with `dry_run` would do."""

    dry_run: bool
    tables: dict[str, Tidied] = field(default_factory=dict)
    """`layer.table`, or `room.table` of the platform's own -> what was done to it."""
    forgotten: dict[str, int] = field(default_factory=dict)
    """History -> rows past their retention."""
    pruned: Pruned = field(default_factory=Pruned)
    failed: list[str] = field(default_factory=list)
    """One line per table that could not be kept; the others were."""

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0


def maintain(
    project: Project, instance: dg.DagsterInstance, *, dry_run: bool, clock: Callable[[], datetime] = utc_now
) -> Maintenance:
    """Keeps every table of the lake and the instance. With `dry_run` it changes nothing and says what it would do.

    A table that cannot be kept is in the report and does not keep others from it. Raises LockedError when another
    maintenance is at work.
    """
    report = Maintenance(dry_run)
    if dry_run:
        _keep(project, instance, report, clock())
        return report
    with run_lock(project.settings.data_dir, name=LOCK):
        _keep(project, instance, report, clock())
    return report


def _keep(project: Project, instance: dg.DagsterInstance, report: Maintenance, now: datetime) -> None:
    settings = project.settings
    if not report.dry_run:
        PlatformTables(project.lake.root).commit_notes()
    _forget_history(project, report, now - timedelta(days=settings.history_days))
    keep = timedelta(days=settings.version_days)
    for contract in project.catalog:
        table = project.lake.table(contract)
        if (table.folder / "_delta_log").exists():
            _keep_table(report, contract.full_name, table.folder, keep, table)
    for name, folder in PlatformTables(project.lake.root).readable().items():
        if (folder / "_delta_log").exists():  # else all its rows are still pending
            _keep_table(report, name, folder, keep, None)
    report.pruned = prune_instance(instance, now - timedelta(days=settings.run_days), dry_run=report.dry_run)


def _keep_table(report: Maintenance, name: str, folder: Path, keep: timedelta, published: LakeTable | None) -> None:
    """One Delta table; `published` when its publications are recorded, which those of the platform's own are not."""
    try:
        done = keep_files(folder, keep, dry_run=report.dry_run)
        if not report.dry_run:
            if published is not None:
                record_housekeeping(folder, published.open().housekeeping)
            before, after = keep_log(folder, keep)
            done = replace(done, log=before, log_after=after)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one table, the others are kept
        report.failed.append(f"{name}: {one_line(error)}")
    else:
        report.tables[name] = done


def _forget_history(project: Project, report: Maintenance, before: datetime) -> None:
    tables = PlatformTables(project.lake.root)
    for name in tables.readable():
        room, _, table = name.partition(".")
        if room == QUARANTINE:  # rows that wait to be made again, however old
            continue
        try:
            rows = tables.forget(room, table, before, dry_run=report.dry_run)
        except Exception as error:  # noqa: BLE001 - as above
            report.failed.append(f"{name}: {one_line(error)}")
        else:
            report.forgotten |= {name: rows} if rows else {}
