"""Rows on their way into a platform table: a step leaves a small file at once, and the end of its run commits them all.

An append to a Delta table takes 12 to 50 ms of CPU, a small Arrow file half a millisecond: one commit per step would be
a tenth of a small run. What is pending is part of the table all the same: `read` gives both, so that nobody has to
wait for a commit, and a killed process loses nothing that was noted. Pending files lie below the table's folder,
where Delta ignores them and a copy of the lake takes them along.
"""

from __future__ import annotations

import fcntl
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.lake.handles import newest
from dataplatform.lake.table import create_table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

PENDING = "_pending"
CONFIGURATION: Mapping[str, str | None] = {
    # without a checkpoint every open reads all commits: 12 ms become 50 after a hundred
    "delta.checkpointInterval": "10",
    "delta.logRetentionDuration": "interval 30 days",
}
COMPACT_AT = 100
"""A table's small files are merged into one when there are this many."""
_APPLICATION = "dataplatform.journal"
_ATTEMPTS = 10


@dataclass(frozen=True)
class Rows:
    """All rows of a platform table: those committed (None: no commit yet) and those pending (None: nothing is)."""

    handle: DeltaTable | None
    pending: pa.Table | None


def note(folder: Path, rows: pa.Table) -> None:
    """Stores `rows` for the table in `folder`, whole or not at all."""
    import pyarrow as pa

    pending = folder / PENDING
    pending.mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    partial = pending / f"{name}.partial"
    try:
        with partial.open("wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
    except BaseException:  # a full disk, a cancelled run: half a file is of no use, and takes room
        partial.unlink(missing_ok=True)
        raise
    partial.rename(pending / f"{name}.arrow")


def commit(folder: Path) -> int:
    """Appends what is pending to the table in one commit; returns how many rows.

    None when another process is committing at this moment: what it does not take, the next one does. A batch carries
    the number that its commit writes into the table, so that one whose commit was made before a crash is not
    appended again.
    """
    pending = folder / PENDING
    if not pending.is_dir() or not _found(pending):
        return 0
    with _held(pending) as held:
        if not held:
            return 0
        rows = sum(_commit_batch(folder, batch) for batch in _batches(pending))  # of a process that was killed
        files = sorted(pending.glob("*.arrow"))
        if files:
            batch = pending / str(_number(newest(folder)) + 1)
            batch.mkdir()
            for file in files:
                file.rename(batch / file.name)
            rows += _commit_batch(folder, batch)
        return rows


def read(folder: Path) -> Rows:
    """Every row exactly once, whatever other processes commit meanwhile."""
    for _ in range(_ATTEMPTS):
        handle = newest(folder)
        try:
            pending = _read_pending(folder / PENDING, after=_number(handle))
        except FileNotFoundError:  # it was moved or committed since it was listed
            continue
        if not _was_committed_since(folder, handle):
            return Rows(handle, pending)
    raise OSError(f"{folder} changes faster than it can be read")


def _commit_batch(folder: Path, batch: Path) -> int:
    from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

    number, rows = int(batch.name), _concatenated(sorted(batch.glob("*.arrow")))
    handle = _open(folder)
    if rows is None or _number(handle) >= number:
        shutil.rmtree(batch)
        return 0
    if handle is None:
        create_table(folder, rows.schema, None, configuration=CONFIGURATION)
        handle = DeltaTable(str(folder))
    write_deltalake(
        handle,
        rows,
        mode="append",
        schema_mode="merge",
        commit_properties=CommitProperties(app_transactions=[Transaction(_APPLICATION, number)]),
    )
    shutil.rmtree(batch)
    if len(handle.file_uris()) >= COMPACT_AT:
        handle.optimize.compact()
    return rows.num_rows


def _read_pending(pending: Path, after: int) -> pa.Table | None:
    """What is noted and not in the table; batches up to number `after` are in it."""
    files = list(pending.glob("*.arrow"))
    for batch in _batches(pending):
        if int(batch.name) > after:
            files += batch.glob("*.arrow")
    # a file that was moved between the two looks is listed twice
    return _concatenated(sorted({file.name: file for file in files}.values(), key=lambda file: file.name))


def _concatenated(files: list[Path]) -> pa.Table | None:
    import pyarrow as pa

    tables = []
    for path in files:
        # a machine that lost power may leave a file without its end: it counts as none
        with suppress(pa.ArrowInvalid), path.open("rb") as file, pa.ipc.open_file(file) as reader:
            tables.append(reader.read_all())
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def _found(pending: Path) -> bool:
    return any(path.suffix == ".arrow" or path.is_dir() for path in pending.iterdir())


def _batches(pending: Path) -> list[Path]:
    if not pending.is_dir():
        return []
    return sorted((path for path in pending.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _number(handle: DeltaTable | None) -> int:
    """Of the newest batch that is in the table."""
    return 0 if handle is None else handle.transaction_version(_APPLICATION) or 0


def _was_committed_since(folder: Path, handle: DeltaTable | None) -> bool:
    following = 0 if handle is None else handle.version() + 1
    return (folder / "_delta_log" / f"{following:020d}.json").exists()


def _open(folder: Path) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(str(folder))
    except TableNotFoundError:
        return None


@contextmanager
def _held(pending: Path) -> Iterator[bool]:
    """Whether this process may commit. The kernel frees the lock of one that dies."""
    with (pending / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
