"""A lake as it is at one moment, while others go on publishing: each table at a version, with what belongs to it.

Tables are looked at one after the other, what is made from others first: so every input is at least as new as what
was made from it, and what is put back is at worst behind its inputs, which the planner sees. The same holds for the
quarantine and the history of rules and runs, which are looked at last.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import TransientError
from dataplatform.lake.journal import PENDING
from dataplatform.lake.platform_tables import ROOMS
from dataplatform.lake.records import FOLDER
from dataplatform.lake.table import Lake, LakeTable

if TYPE_CHECKING:
    from dataplatform.contracts.catalog import Catalog

LOG = "_delta_log"
_ATTEMPTS = 60
_PAUSE = 0.05
_COMMIT = re.compile(r"(\d{20})\.json")
_OTHERS = re.compile(r"(\d{20})\.(?:(\d{20})\.compacted\.json|checkpoint.*\.parquet|crc)")


class MovedError(TransientError):
    """A file that belongs to a pinned version went away before it was copied: pin again."""


@dataclass
class Pinned:
    """A table at a version (-1: it has rows pending and no commit yet).

    `files` must be there; `history` are files of older versions, wanted as far as they still are. `contents` are
    small files that others merge or remove at any time, so they were read at once. Paths are within the table.
    """

    folder: Path
    version: int
    files: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    contents: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    """Path -> content, and nanoseconds of its last change."""


def pin_lake(catalog: Catalog, root: Path) -> list[Pinned]:
    """Every table that lies in the lake, also those that no contract names any more."""
    lake = Lake(root)
    named = [lake.table(contract).folder for contract in catalog]
    found = set(_tables(root))
    platform = [folder for room in ROOMS for folder in sorted(found) if folder.parent.name == room]
    strangers = sorted(found - set(named) - set(platform))
    order = [*strangers, *reversed(named), *platform]
    known = {lake.table(contract).folder: contract for contract in catalog}
    pinned = []
    for folder in order:
        if folder in found:
            contract = known.get(folder)
            pinned.append(_pin(folder, None if contract is None else lake.table(contract)))
    return pinned


def _tables(root: Path) -> Iterator[Path]:
    for folder in root.glob("*/*"):
        if (folder / LOG).is_dir() or (folder / PENDING).is_dir():
            yield folder


def _is_settled(table: LakeTable | None) -> bool:
    """Whether every commit has its record: a publication is between the two for a moment, a crash for ever."""
    opened = None if table is None else table.open()
    return opened is None or not (opened.state.unknown or opened.is_ahead)


def _pin(folder: Path, table: LakeTable | None) -> Pinned:
    """The newest version at a moment in which nothing changes beside it; of a table that a crash left, any moment.

    `table` is None for what has no record of publications.
    """
    for attempt in range(_ATTEMPTS):
        is_last = attempt == _ATTEMPTS - 1
        try:
            before, version = _beside(folder), _version(folder)
            contents = {path: _content(folder / path) for path in before}
            same = _beside(folder) == before and _version(folder) == version
            if same and (is_last or _is_settled(table)):
                return _with_files(Pinned(folder, version, contents=contents))
        except FileNotFoundError:  # merged or committed a moment ago
            continue
        time.sleep(_PAUSE)
    raise MovedError(f"{folder} changes all the time; run the backup again")


def _beside(folder: Path) -> Sequence[str]:
    """The small files beside the log: records of publications, and rows that wait to be committed."""
    found = [*(folder / FOLDER).glob("*.json"), *(folder / PENDING).rglob("*.arrow")]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _content(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), path.stat().st_mtime_ns


def _version(folder: Path) -> int:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(str(folder)).version()
    except TableNotFoundError:
        return -1


def _with_files(pinned: Pinned) -> Pinned:
    """Adds the log up to the version, the version's data files, and those of the versions before it."""
    if pinned.version < 0:
        return pinned
    import pyarrow as pa
    from deltalake import DeltaTable

    commits = []
    for path in sorted((pinned.folder / LOG).iterdir()):
        if _newest_in(path.name) <= pinned.version:
            pinned.files.append(f"{LOG}/{path.name}")
            commits += [path] if _COMMIT.fullmatch(path.name) else []
    hint = pinned.folder / LOG / "_last_checkpoint"
    if hint.exists() and json.loads((content := _content(hint))[0])["version"] <= pinned.version:
        pinned.contents[f"{LOG}/_last_checkpoint"] = content
    actions = pa.table(DeltaTable(str(pinned.folder), version=pinned.version).get_add_actions())
    active = {urllib.parse.unquote(str(path)) for path in actions.column("path").to_pylist()}
    pinned.files += sorted(active)
    older = {path for commit in commits for path in _added(commit)} - active
    pinned.history += sorted(path for path in older if (pinned.folder / path).exists())
    return pinned


def _newest_in(name: str) -> float:
    """The newest version that a file of the log tells of; infinity for what is no part of it."""
    found = _COMMIT.fullmatch(name) or _OTHERS.fullmatch(name)
    return float("inf") if found is None else max(int(number) for number in found.groups() if number)


def _added(commit: Path) -> Iterator[str]:
    for line in commit.read_text(encoding="utf-8").splitlines():
        if line.startswith('{"add"'):
            yield urllib.parse.unquote(json.loads(line)["add"]["path"])
