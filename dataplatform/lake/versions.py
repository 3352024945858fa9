"""The versions of a table as people name them: by number, by the run that published one, or by a time.

What Delta's log still has, and no more: it forgets after its retention, and so do the files of old versions once
they are vacuumed. A version whose files are not all there is refused, never read in part.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dataplatform.errors import PermanentError
from dataplatform.lake.holds import SLICES
from dataplatform.lake.table import RUN

if TYPE_CHECKING:
    from dataplatform.lake.table import LakeTable, Opened

FEWEST_LETTERS = 6
"""How much of a run's id names it, when no other run's begins so."""
RETENTION = "delta.logRetentionDuration"


@dataclass(frozen=True, slots=True)
class Version:
    """One commit: its number and instant, the run that made it, and the partitions whose rows it replaced.

    `partitions` is None for a commit that does not say; it is empty for one that changed no rows.
    """

    number: int
    at: datetime
    run_id: str
    partitions: tuple[str, ...] | None
    operation: str

    def __str__(self) -> str:
        by = f" by run {self.run_id}" if self.run_id else ""
        return f"version {self.number} of {self.at.isoformat(timespec='seconds')}{by}"


def versions(table: LakeTable) -> list[Version]:
    """Every version that the log still names, oldest first; none for a table that was never published."""
    handle = table.open().handle
    commits = [] if handle is None else handle.history()
    return [
        Version(
            int(commit["version"]),
            datetime.fromtimestamp(commit.get("timestamp", 0) / 1000, UTC),
            str(commit.get(RUN, "")),
            None if SLICES not in commit else tuple(json.loads(commit[SLICES])),
            str(commit.get("operation", "")),
        )
        for commit in reversed(commits)
    ]


def find_version(table: LakeTable, wanted: str, zone: str) -> Version:
    """The version that `wanted` names: a number, a run's id (or its beginning), an aware instant, or a day.

    An instant means the newest version then; a day, in `zone`, the newest at its end. Raises PermanentError.
    """
    name, known = table.contract.full_name, versions(table)
    if not known:
        raise PermanentError(f"{name} has never been published; it has no version {wanted}")
    if wanted.isdecimal():
        return _numbered(table, known, int(wanted))
    instant = parse_instant(wanted, zone)
    if instant is not None:
        before = [version for version in known if version.at <= instant]
        if not before:
            raise PermanentError(f"{name} has no version of {wanted} or before; {_oldest(table, known)}")
        return before[-1]
    return _of_run(name, known, wanted)


def parse_instant(text: str, zone: str) -> datetime | None:
    """An ISO instant with its zone, or the last moment of a day in `zone`; None when it is neither.

    Raises PermanentError for an instant without a zone.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time.max, ZoneInfo(zone))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        raise PermanentError(f"{text} has no zone; write {text}Z for UTC, or with an offset such as {text}+01:00")
    return found


def _numbered(table: LakeTable, known: Sequence[Version], number: int) -> Version:
    name = table.contract.full_name
    if number > known[-1].number:
        raise PermanentError(f"{name} has no version {number}; its newest is {known[-1].number}")
    found = next((version for version in known if version.number == number), None)
    if found is None:
        raise PermanentError(f"{name} no longer has version {number}; {_oldest(table, known)}")
    return found


def _of_run(name: str, known: Sequence[Version], run: str) -> Version:
    found = [v for v in known if v.run_id == run or (len(run) >= FEWEST_LETTERS and v.run_id.startswith(run))]
    if len({version.run_id for version in found}) > 1:
        raise PermanentError(f"{name}: several runs begin with {run!r}; write more of it")
    if not found:
        look = f"`dataplatform history {name.rpartition('.')[2]}` lists them"
        raise PermanentError(f"{name}: no version was published by run {run!r}; {look}")
    return found[-1]


def _oldest(table: LakeTable, known: Sequence[Version]) -> str:
    handle = table.open().handle
    kept = "" if handle is None else handle.metadata().configuration.get(RETENTION) or ""
    forgets = f" (it forgets after {kept.removeprefix('interval ')})" if kept else ""
    return f"the oldest that its log names is {known[0]}{forgets}"


def open_at(table: LakeTable, version: Version) -> Opened:
    """The table as it was at `version`. Raises PermanentError when files of it were vacuumed away."""
    opened = table.open(version.number)
    gone = missing_files(opened)
    if gone:
        known = versions(table)
        # what is vacuumed is old: once a version is whole, those after it are
        first = bisect_left(known, 1, key=lambda each: int(not missing_files(table.open(each.number))))
        raise PermanentError(
            f"{table.contract.full_name}: {gone} of {len(opened.files)} files of version {version.number} were "
            f"vacuumed away; the oldest version that is still whole is {known[first]}"
        )
    return opened


def missing_files(opened: Opened) -> int:
    """How many files of an opened version are no longer there."""
    return sum(not (opened.table.folder / file.path).exists() for file in opened.files)
