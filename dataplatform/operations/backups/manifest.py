"""What one backup is made of: every file with its hash, the versions of the tables, and the settings it was made under.

A manifest is written last and in one piece, under a name that holds its own hash; a backup without one is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dataplatform.operations.backups.place import FORMAT, MANIFESTS, BackupError, DamagedError, digest_of

if TYPE_CHECKING:
    from dataplatform.operations.backups.place import Place

_NAME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: where it belongs below the data folder, and what it was there.

    `size` and `digest` are of what is stored. `source_size` and `modified` (nanoseconds) are of the file it was read
    from: one that is still so is not read again by the next backup. A database's copy may differ from it in size.
    """

    path: str
    size: int
    digest: str
    source_size: int
    modified: int


@dataclass(frozen=True)
class Manifest:
    """One backup. `pinned_at` is the moment that it shows; `tables` maps `layer/table` to its Delta version."""

    pinned_at: datetime
    finished_at: datetime
    settings: Mapping[str, Any]
    tables: Mapping[str, int]
    entries: Sequence[Entry]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)

    @property
    def name(self) -> str:
        """When it was pinned, as people write it down."""
        return self.pinned_at.isoformat(timespec="seconds")

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        return {entry.path: entry for entry in self.entries}


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Stores it in one piece. From this moment on the backup is there."""
    content = {
        "format": FORMAT,
        "pinned_at": manifest.pinned_at.isoformat(),
        "finished_at": manifest.finished_at.isoformat(),
        "settings": manifest.settings,
        "tables": manifest.tables,
        "files": [[e.path, e.size, e.digest, e.source_size, e.modified] for e in manifest.entries],
    }
    written = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    stamp = manifest.pinned_at.astimezone(UTC).strftime(_NAME)
    place.put(f"{MANIFESTS}/{stamp}-{digest_of(written)[:16]}.json", written)


def manifest_keys(place: Place) -> list[str]:
    """The keys of all backups there are, oldest first. Raises BackupError when the place holds none of ours."""
    if not place.is_one():
        raise BackupError(f"{place.name} is no place of backups; `dataplatform backup {place.name}` makes it one")
    return sorted(key for key, _ in place.listed(MANIFESTS) if key.endswith(".json"))


def pinned_at(key: str) -> datetime:
    """The moment that a backup shows, by its key. Raises DamagedError when the key was changed."""
    try:
        return datetime.strptime(key.rpartition("/")[2].split("-")[0], _NAME).replace(tzinfo=UTC)
    except ValueError:
        raise DamagedError(f"{key} is not named as backups are; remove it or give it its name again") from None


def read_manifest(place: Place, key: str) -> Manifest:
    """Raises DamagedError when it is not what its name says, and BackupError when it is of a newer format."""
    written = place.read(key)
    expected = key.rpartition("-")[2].removesuffix(".json")
    if written is None or digest_of(written)[:16] != expected:
        raise DamagedError(f"{place.name}: the manifest {key} is damaged; choose another backup with --to")
    content = json.loads(written)
    if content["format"] > FORMAT:
        raise BackupError(f"{place.name}: {key} was written by a newer version of the platform; use that version")
    return Manifest(
        datetime.fromisoformat(content["pinned_at"]),
        datetime.fromisoformat(content["finished_at"]),
        content["settings"],
        content["tables"],
        [Entry(*fields) for fields in content["files"]],
    )


def choose(place: Place, instant: datetime | None) -> str:
    """The key of the newest backup, or of the newest that shows `instant` or before. Raises BackupError."""
    keys = manifest_keys(place)
    if not keys:
        raise BackupError(f"{place.name} holds no finished backup; make one with `dataplatform backup {place.name}`")
    before = [key for key in keys if instant is None or pinned_at(key) <= instant]
    if not before:
        oldest = pinned_at(keys[0]).isoformat(timespec="seconds")
        raise BackupError(f"{place.name} holds no backup of that time or before; its oldest is of {oldest}")
    return before[-1]
