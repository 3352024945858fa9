"""The warehouse's files: numbered, read-only, one of them current by a symlink that is swapped atomically.

Replacing one file in place does not work: a process that had it open goes on reading the old inode, and another's
leftover write-ahead log is replayed onto the new file. Here nothing that was ever current is written again. What a
killed refresh leaves behind is never current, and the next refresh removes it. Nothing here knows tables.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dataplatform.errors import TransientError

LINK = "warehouse.duckdb"
KEPT = 2
"""How many files before the current one stay: a reader that has just followed the link still finds its file."""
_NUMBERED = re.compile(r"warehouse-(\d{6,})\.duckdb")
_PARTIAL, _LOG, _NEXT_LINK, _LOCK = ".partial", ".wal", "warehouse.duckdb.next", ".refresh.lock"
_NOWHERE = "only-dataplatform-writes-the-warehouse/wal"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class WarehouseFiles:
    """The folder of one warehouse. Only what runs inside `exclusive` may change it."""

    folder: Path

    @property
    def link(self) -> Path:
        """What people open: a symlink to the current file."""
        return self.folder / LINK

    def current(self) -> Path | None:
        """The file that the link names; None when there is no warehouse yet, or its file is gone."""
        try:
            file = self.folder / self.link.readlink()
        except OSError:  # no link, or something that is not a link
            return None
        return file if _NUMBERED.fullmatch(file.name) and file.is_file() else None

    @contextmanager
    def exclusive(self, wait: float) -> Iterator[None]:
        """The turn to refresh: one process at a time, freed by the kernel however it ends.

        Raises TransientError when another process still has it after `wait` seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("a+", encoding="utf-8") as lock:
            _take(lock, wait)
            self._clean()
            yield

    @contextmanager
    def successor(self, source: Path | None) -> Iterator[Path]:
        """A file to fill (a copy of `source`, or none yet), which becomes current when the block ends well.

        When it ends in an error, or is killed, the link and the file it names are as they were.
        """
        number = max(self._numbers(), default=0) + 1
        file = self.folder / f"warehouse-{number:06d}.duckdb"
        partial = file.with_name(file.name + _PARTIAL)
        try:
            if source is not None:
                copy_file(source, partial)
            yield partial
            self._make_current(partial, file)
        except BaseException:
            self._clean()
            raise
        self._clean()

    def _make_current(self, partial: Path, file: Path) -> None:
        partial.chmod(0o444)
        _sync(partial)
        # file modes do not bind root; without a place for its write-ahead log DuckDB commits nothing for root either
        file.with_name(file.name + _LOG).symlink_to(_NOWHERE)
        partial.rename(file)
        upcoming = self.folder / _NEXT_LINK
        upcoming.symlink_to(file.name)
        upcoming.replace(self.link)
        _sync(self.folder)

    def _numbers(self) -> list[int]:
        """The numbers of the files there are, newest first."""
        found = (_NUMBERED.fullmatch(file.name) for file in self.folder.iterdir())
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def leftovers(self) -> list[Path]:
        """What a killed refresh left, and files older than those kept."""
        if not self.folder.is_dir():
            return []
        current = self.current()
        numbers = self._numbers()
        newest = int(_NUMBERED.sub(r"\1", current.name)) if current is not None else max(numbers, default=0)
        kept = {f"warehouse-{n:06d}.duckdb" for n in [n for n in numbers if n <= newest][: KEPT + 1]}
        kept |= {LINK, _LOCK} | {f"{name}{_LOG}" for name in kept}

        def is_left(file: Path) -> bool:
            foreign_log = file.name.endswith(_LOG) and not file.is_symlink()
            return file.name.startswith("warehouse") and (file.name not in kept or foreign_log) and not file.is_dir()

        return sorted(file for file in self.folder.iterdir() if is_left(file))

    def _clean(self) -> None:
        for file in self.leftovers():
            file.unlink()


def _take(lock: TextIO, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise TransientError(
                    f"the warehouse is being refreshed by process {holder}; try again when it has finished"
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            return


def copy_file(source: Path, target: Path) -> None:
    """A copy that shares its blocks where the file system can do that, so that it costs nothing however large."""
    with suppress(AttributeError, OSError), source.open("rb") as reading, target.open("wb") as writing:
        left = os.fstat(reading.fileno()).st_size
        while left:
            copied = os.copy_file_range(reading.fileno(), writing.fileno(), left)
            if not copied:
                break
            left -= copied
        if not left:
            return
    shutil.copyfile(source, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
