"""A maintenance as people read it: per table what was done or would be, then histories, runs and the instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dataplatform.operations.text import count, table

if TYPE_CHECKING:
    from dataplatform.lake.maintenance import Tidied
    from dataplatform.operations.maintain import Maintenance


def maintenance_text(report: Maintenance) -> str:
    """The report; of the tables only those with something to tell."""
    return "\n".join(_lines(report))


def _lines(report: Maintenance) -> Iterator[str]:
    busy = {name: done for name, done in report.tables.items() if done.compacted or done.removed or done.note}
    if busy:
        headers = ("table", "files", "MB", "small files", "become", "files removed", "MB removed", "left for next time")
        yield table(headers, [_row(name, done) for name, done in busy.items()], indent="")
    yield f"{count(len(report.tables), 'table')}, {count(len(busy), 'table')} with files to compact or remove"
    entries = [(done.log, done.log_after) for done in report.tables.values()]
    before, after = (sum(entry[n] for entry in entries) for n in (0, 1))
    if before != after:
        yield f"log entries: {before:,} before, {after:,} now"
    for name, rows in report.forgotten.items():
        yield f"{name}: {count(rows, 'row')} past DATAPLATFORM_HISTORY_DAYS"
    yield from _instance(report)
    yield from (f"failed: {line}" for line in report.failed)


def _row(name: str, done: Tidied) -> tuple[object, ...]:
    megabytes, removed = f"{done.size / 1e6:.1f}", f"{done.removed_size / 1e6:.1f}"
    return name, done.files, megabytes, done.compacted, done.into, done.removed, removed, done.note


def _instance(report: Maintenance) -> Iterator[str]:
    pruned = report.pruned
    yield (
        f"Dagster's records past DATAPLATFORM_RUN_DAYS: {count(pruned.deleted, 'run')} to forget, "
        f"{count(pruned.shortened, 'run')} of which only the log goes (an asset's latest state is theirs), "
        f"{count(pruned.ticks, 'tick')}"
    )
    sizes = f"{pruned.size / 1e6:,.1f} MB"
    yield f"instance: {sizes}" if report.dry_run else f"instance: {sizes} before, {pruned.size_after / 1e6:,.1f} MB now"
    yield from pruned.notes
