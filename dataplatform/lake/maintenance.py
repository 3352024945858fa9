"""Housekeeping of one Delta table: small files into large ones, files and log entries nobody needs away.

Nothing here changes a row. Every commit is Delta's own kind of maintenance, so publications know it and wake nobody.
There is no lock: a publication and a compaction that touch the same files are told apart by Delta's commits, and
the one that comes second fails. A publication is then made again from its inputs, a compaction is left for next time.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.errors import PermanentError
from dataplatform.lake.table import UNREADABLE_FEATURES, retention_properties

if TYPE_CHECKING:
    from deltalake import DeltaTable

TARGET_BYTES = 100_000_000
"""Files of this size are not made larger: it is read in a second, and rewritten in a few."""
LEAST_FILES = 4
"""A partition is compacted when it has so many small files: below that, rewriting costs more than reading them."""
CHECKPOINT_AFTER = 10
"""Commits since the last checkpoint that ask for another one: opening a table replays what came after it."""
_NUMBERED = re.compile(r"(\d{20})\.")


@dataclass(frozen=True, slots=True)
class Tidied:
    """What housekeeping did (or would do) to one Delta table."""

    files: int
    size: int
    """Files and bytes of the newest version, before."""
    compacted: int = 0
    """Small files that became few."""
    into: int = 0
    removed: int = 0
    """Files of no version that anybody may still read."""
    removed_size: int = 0
    log: int = 0
    """Log entries before."""
    log_after: int = 0
    note: str = ""
    """Why something was left for next time."""


def keep_files(folder: Path, keep: timedelta, *, dry_run: bool) -> Tidied:
    """Compacts and vacuums the Delta table in `folder`; what was replaced within `keep` stays readable.

    Raises PermanentError for a table whose Delta features are refused, and DeltaError when it cannot be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    handle = DeltaTable(str(folder))
    _refuse_features(handle, folder)
    adds = _adds(handle)
    small = _small(adds)
    compacted, into, note = sum(small.values()), len(small), ""
    if not dry_run:
        try:
            _promise_retention(handle, keep)
            compacted, into = _compact(handle, small)
        except CommitFailedError:
            compacted, into, note = 0, 0, "a run published it meanwhile; it is compacted next time"
    removed, removed_size = _vacuum(handle, folder, keep, dry_run=dry_run)
    size = sum(add["size_bytes"] for add in adds)
    return Tidied(len(adds), size, compacted, into, removed, removed_size, note=note)


def keep_log(folder: Path, keep: timedelta) -> tuple[int, int]:
    """Writes a checkpoint when many commits came after the last one, and forgets log entries older than `keep`.

    Returns the log's entries before and after. Call it after the record of publications names the commits that
    `keep_files` made: what the log has forgotten and no record names counts as unknown, and all of it is made again.
    """
    from deltalake import DeltaTable

    handle, before = DeltaTable(str(folder)), log_entries(folder)
    if handle.version() - max(_checkpoints(folder), default=-1) >= CHECKPOINT_AFTER:
        handle.create_checkpoint()
    # every version that was current within `keep` is built from this checkpoint, or was made after it
    cutoff = time.time() - keep.total_seconds()
    base = max((version for version, written in _checkpoints(folder).items() if written < cutoff), default=0)
    for path in sorted((folder / "_delta_log").iterdir()):
        number = _NUMBERED.match(path.name)
        if number and int(number[1]) < base:
            path.unlink(missing_ok=True)
    return before, log_entries(folder)


def _checkpoints(folder: Path) -> dict[int, float]:
    """Version -> when its checkpoint was written."""
    found = (folder / "_delta_log").glob("*.checkpoint.parquet")
    return {int(path.name[:20]): path.stat().st_mtime for path in found if _NUMBERED.match(path.name)}


def log_entries(folder: Path) -> int:
    """Commits that the log still has, each a file of its own."""
    return sum(1 for _ in (folder / "_delta_log").glob("*.json"))


def removed_since(folder: Path, instant: float) -> frozenset[str]:
    """The files that a commit in the log removed after `instant` (seconds): a reader may still have them open."""
    return frozenset(
        urllib.parse.unquote(action["remove"]["path"])
        for action in log_actions(folder)
        if "remove" in action and action["remove"].get("deletionTimestamp", 0) >= instant * 1000
    )


def log_actions(folder: Path) -> Iterator[dict[str, Any]]:
    """What the commits that the log still has say, one action after the other."""
    for entry in sorted((folder / "_delta_log").glob("*.json")):
        for line in entry.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _refuse_features(handle: DeltaTable, folder: Path) -> None:
    refused = UNREADABLE_FEATURES.intersection(handle.protocol().reader_features or ())
    if refused:
        raise PermanentError(f"{folder} uses Delta features that are refused: {', '.join(sorted(refused))}")


def _adds(handle: DeltaTable) -> list[dict[str, Any]]:
    import pyarrow as pa

    adds: list[dict[str, Any]] = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
    return adds


def _small(adds: Collection[dict[str, Any]]) -> dict[str, int]:
    """Partition folder -> its small files, where there are enough of them to be worth rewriting."""
    found: dict[str, int] = {}
    for add in adds:
        if add["size_bytes"] < TARGET_BYTES:
            partition = str(Path(urllib.parse.unquote(add["path"])).parent)
            found[partition] = found.get(partition, 0) + 1
    return {partition: files for partition, files in found.items() if files >= LEAST_FILES}


def _promise_retention(handle: DeltaTable, keep: timedelta) -> None:
    from deltalake import CommitProperties

    wanted = retention_properties(keep)
    present = handle.metadata().configuration
    if any(present.get(name) != value for name, value in wanted.items()):
        handle.alter.set_table_properties(
            {name: str(value) for name, value in wanted.items()},
            commit_properties=CommitProperties(max_commit_retries=0),  # or a hold that came first would be lost
        )


def _compact(handle: DeltaTable, small: dict[str, int]) -> tuple[int, int]:
    from deltalake import WriterProperties

    if not small:
        return 0, 0
    filters = None
    if small.keys() != {"."}:
        (column,) = handle.metadata().partition_columns
        filters = [(column, "in", sorted(partition.partition("=")[2] for partition in small))]
    done = handle.optimize.compact(
        partition_filters=filters,
        target_size=TARGET_BYTES,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
    )
    return int(done["numFilesRemoved"]), int(done["numFilesAdded"])


def _vacuum(handle: DeltaTable, folder: Path, keep: timedelta, *, dry_run: bool) -> tuple[int, int]:
    """Removes files that no version of the last `keep` names. Returns how many, and their bytes.

    A full vacuum also finds files whose removal a checkpoint has forgotten. A file whose removal the log still names
    as recent is needed all the same: then only those are removed that Delta remembers to be old enough.
    """
    hours, full = max(1, int(keep.total_seconds() // 3600)), True
    expendable = handle.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    if expendable and not removed_since(folder, time.time() - keep.total_seconds()).isdisjoint(expendable):
        full = False
        expendable = handle.vacuum(hours, dry_run=True, enforce_retention_duration=False)
    size = sum((folder / path).stat().st_size for path in expendable if (folder / path).exists())
    if expendable and not dry_run:
        handle.vacuum(hours, dry_run=False, full=full)
    return len(expendable), size
