"""What was tried and not published: beside each table, the last attempt at every slice that came to nothing.

Publications say what is there; these say why something is not, in which situation it was tried, and how often. The
planner reads them to leave alone what would fail again. They lie beside the record of publications in small objects
of their own, so that writers of disjoint slices need no lock; the newest entry per partition counts.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "_attempts"
MERGE_AT = 16
"""A table's objects are merged into one when there are this many."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one slice. `at` is in nanoseconds since 1970, as the `sequence` of a publication is.

    `situation` names all that decided what came of it (empty when something moved meanwhile, so that nobody knows);
    `is_compared` says that other tables or partitions had a part in it; `is_transient` that the same may succeed
    later; `count` is how often it was tried in this situation.
    """

    at: int
    run_id: str
    situation: str
    reason: str
    is_compared: bool = False
    is_transient: bool = False
    count: int = 1


def read_attempts(table_folder: Path) -> dict[str, Attempt]:
    """The newest attempt per partition; nothing for a table of which every try was published."""
    folder = table_folder / FOLDER
    for _ in range(3):  # a merge may delete an object between listing and reading: then list again
        try:
            return _newest(folder, _names(folder))
        except FileNotFoundError:
            continue
    raise OSError(f"{folder} changes faster than it can be read")


def write_attempts(table_folder: Path, attempts: Mapping[str, Attempt]) -> None:
    """Stores the attempts of one run, each in one piece or not at all."""
    folder = table_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder, attempts)
    names = _names(folder)
    if len(names) >= MERGE_AT:
        try:
            _put(folder, _newest(folder, names))
        except FileNotFoundError:  # another process is merging at this moment
            return
        for name in names:
            (folder / name).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []


def _put(folder: Path, attempts: Mapping[str, Attempt]) -> None:
    content = {partition: asdict(attempt) for partition, attempt in attempts.items()}
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    partial = folder / f"{name}.partial"
    try:
        partial.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True), encoding="utf-8")
    except OSError:  # a full disk: half an object is of no use, and takes room
        partial.unlink(missing_ok=True)
        raise
    partial.rename(folder / f"{name}.json")


def _newest(folder: Path, names: Sequence[str]) -> dict[str, Attempt]:
    found: dict[str, Attempt] = {}
    for name in names:
        for partition, attempt in _read(folder / name).items():
            if partition not in found or found[partition].at <= attempt.at:
                found[partition] = attempt
    return found


def _read(path: Path) -> dict[str, Attempt]:
    """A damaged object counts as none: what it told of is tried once more."""
    stored = path.read_bytes()
    try:
        return {partition: Attempt(**entry) for partition, entry in json.loads(stored).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
