"""Whether a Delta table's folder is whole: it opens, its files are there, and what lies beside it can be read.

Nothing is changed and no row is read: sizes tell of files that were cut off, and a count of bytes costs nothing.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.errors import one_line
from dataplatform.lake import attempts, journal, records
from dataplatform.lake.table import UNREADABLE_FEATURES

if TYPE_CHECKING:
    from deltalake import DeltaTable


class Part(StrEnum):
    """What of a table is damaged: without its log or its files it cannot be read, without a record it can."""

    LOG, FILES, RECORDS = "log", "files", "records"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong in a table's folder."""

    part: Part
    text: str


def delta_folders(root: Path) -> list[Path]:
    """Every folder below `root` that holds a Delta table, or rows on their way into one."""
    marks = ("_delta_log", journal.PENDING)
    return sorted(folder for folder in root.glob("*/*") if any((folder / mark).is_dir() for mark in marks))


def damages(folder: Path) -> Iterator[Damage]:
    """What is wrong with the table in `folder`, which others may be writing meanwhile."""
    if (folder / "_delta_log").is_dir():
        yield from _of_rows(folder)
    yield from _unreadable(folder / records.FOLDER, "records of publications")
    yield from _unreadable(folder / attempts.FOLDER, "records of attempts")


def _of_rows(folder: Path) -> Iterator[Damage]:
    from deltalake import DeltaTable

    try:
        handle = DeltaTable(str(folder))
        features = UNREADABLE_FEATURES.intersection(handle.protocol().reader_features or ())
        adds = _adds(handle)
    except Exception as error:  # noqa: BLE001 - whatever a log can be damaged by, the table cannot be read
        yield Damage(Part.LOG, f"its log cannot be read ({one_line(error)})")
        return
    if features:
        yield Damage(Part.LOG, f"it uses Delta features that are refused: {', '.join(sorted(features))}")
    missing, cut = [], []
    for path, size in adds:
        try:
            found = (folder / path).stat().st_size
        except FileNotFoundError:
            missing.append(path)
        else:
            cut += [path] if found != size else []
    for paths, what in ((missing, "missing"), (cut, "of another size than was written")):
        if paths:
            yield Damage(Part.FILES, f"{len(paths)} of its {len(adds)} files {_are(paths)} {what}: {paths[0]}")


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _adds(handle: DeltaTable) -> list[tuple[str, int]]:
    """Path and bytes of each file of the newest version."""
    import pyarrow as pa

    actions: list[dict[str, Any]] = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
    return [(urllib.parse.unquote(action["path"]), action["size_bytes"]) for action in actions]


def _unreadable(folder: Path, what: str) -> Iterator[Damage]:
    damaged = [path.name for path in sorted(folder.glob("*.json")) if not _is_readable(path)]
    if damaged:
        yield Damage(Part.RECORDS, f"{len(damaged)} of the {what} cannot be read: {damaged[0]}")


def _is_readable(path: Path) -> bool:
    try:
        if path.parent.name == records.FOLDER:
            return records.is_readable(path)
        return isinstance(json.loads(path.read_bytes()), dict)
    except FileNotFoundError:  # merged a moment ago
        return True
    except (OSError, ValueError):
        return False
