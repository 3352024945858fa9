"""Files that processes left which ended in the middle: spill folders, halves of records, files of a killed refresh.

Only what has not changed for a day and what no process has open counts, and only such is removed. What a restore moved
aside (`replaced-…`) is a person's, and stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.operations.text import count
from dataplatform.sources import BREAKERS
from dataplatform.warehouse.files import WarehouseFiles

if TYPE_CHECKING:
    from dataplatform.settings import Settings

OLD = timedelta(days=1)
"""Longer than anything works; what is younger may belong to a process of another machine on the same disk."""
_PARTIALS = ("_publications", "_attempts", "_pending")


def left_files(settings: Settings, now: datetime) -> list[Path]:
    """Every file and folder that is left, in order."""
    before = (now - OLD).timestamp()
    old = [path for path in _candidates(settings) if _changed(path) < before]
    return sorted(_unopened(old)) if old else []


def _candidates(settings: Settings) -> Iterator[Path]:
    if settings.tmp_dir.is_dir():
        yield from (path for path in settings.tmp_dir.iterdir() if path.name != BREAKERS)
    for folder in _PARTIALS:
        yield from settings.lake_dir.glob(f"*/*/{folder}/*.partial")
    yield from WarehouseFiles(settings.warehouse_dir).leftovers()


def _changed(path: Path) -> float:
    """When the newest thing in it changed; never, for what is going at this moment."""
    times = [float("inf")]
    with suppress(FileNotFoundError):
        times = [path.lstat().st_mtime, *(each.lstat().st_mtime for each in path.rglob("*"))]
    return max(times)


def _unopened(paths: Collection[Path]) -> list[Path]:
    """Those that no process has open, as far as this one may see."""
    import psutil

    in_use: set[Path] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            in_use.update(Path(file.path) for file in process.open_files())
    resolved = {path: path.parent.resolve() / path.name for path in paths}
    return [path for path in paths if not any(file.is_relative_to(resolved[path]) for file in in_use)]


def remove(settings: Settings, found: Collection[Path], now: datetime) -> str:
    """Removes those of `found` that are still left; says how many they were."""
    gone = set(left_files(settings, now)) & set(found)
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return f"{count(len(gone), 'file')} removed"


def size_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; 0 when it is not there."""
    if not path.is_dir() or path.is_symlink():
        with suppress(FileNotFoundError):
            return path.lstat().st_size
        return 0
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(FileNotFoundError):
                total += Path(folder, name).lstat().st_size
    return total
