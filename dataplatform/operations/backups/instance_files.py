"""Dagster's instance as files that may be copied: a database by SQLite's own online backup, never by its file.

A file of a database in use lacks what lies in its write-ahead log, and may be caught between two pages.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from dataplatform.operations.backups.place import DamagedError

_MADE_AGAIN = frozenset({"dagster.yaml", "workspace.yaml", "dagster.new.yaml"})
"""Copies of the checkout's; opening the instance writes them."""
_RUNS = "history/runs.db"
_BESIDE = ("-wal", "-shm", "-journal")


def instance_files(
    home: Path, scratch: Path, is_known: Callable[[str, int, int], bool]
) -> Iterator[tuple[str, Path, int, int]]:
    """Each file of the instance: its path there, what to copy, and size and last change of the original.

    What to copy lies in `scratch`, and only if it is not known with this size and change. The list of runs comes
    first: so of every run that it names the events are at least as new.
    """
    for path in sorted(_files(home), key=lambda path: (path.as_posix() != _RUNS, path)):
        source, copy = home / path, scratch / path
        try:
            found = source.stat()
            is_quiet = not any(_has_content(Path(f"{source}{end}")) for end in _BESIDE)
            if not (is_quiet and is_known(path.as_posix(), found.st_size, found.st_mtime_ns)):
                copy.parent.mkdir(parents=True, exist_ok=True)
                _copy(source, copy)
        except FileNotFoundError:  # a run's file that was pruned meanwhile
            continue
        yield path.as_posix(), copy, found.st_size, found.st_mtime_ns


def _files(home: Path) -> Iterator[Path]:
    for path in home.rglob("*"):
        name = path.name
        if path.is_file() and name not in _MADE_AGAIN and not name.startswith(".") and not name.endswith(_BESIDE):
            yield path.relative_to(home)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _copy(source: Path, copy: Path) -> None:
    if source.suffix != ".db":
        shutil.copyfile(source, copy)
        return
    if not source.exists():
        raise FileNotFoundError(source)
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as read,
            closing(sqlite3.connect(copy)) as written,
        ):
            read.backup(written)
    except sqlite3.DatabaseError as error:
        raise DamagedError(
            f"{source} cannot be copied: {error}; `dataplatform doctor` says more, and without the instance "
            f"(move {source.name} away) the backup holds the lake, which decides what is stale"
        ) from error
