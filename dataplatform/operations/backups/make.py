"""Making a backup: pin, copy what the place does not have yet, read it back, and write the manifest last.

Killed at any moment it leaves the backups before it as they were, and what was copied counts for the next one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.operations.backups.instance_files import instance_files
from dataplatform.operations.backups.manifest import (
    Entry,
    Manifest,
    manifest_keys,
    read_manifest,
    write_manifest,
)
from dataplatform.operations.backups.pins import MovedError, Pinned, pin_lake
from dataplatform.operations.backups.place import (
    BackupError,
    DamagedError,
    Place,
    digest_of,
    key_of,
    open_place,
    refuse_too_small,
)
from dataplatform.operations.lock import run_lock
from dataplatform.operations.text import count
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    from dataplatform.contracts.catalog import Catalog
    from dataplatform.settings import Settings

LOCK = "backup.lock"
LAKE, INSTANCE = "lake", "dagster"
_ATTEMPTS = 5
_WORKERS = 8
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Source:
    """One file to back up: where it belongs, what to read (a file, or bytes), and what its original was."""

    path: str
    content: Path | bytes
    size: int
    modified: int
    is_wanted: bool = True
    """Whether the backup is useless without it; files of older versions may go away meanwhile."""


@dataclass
class Copied:
    """What a backup came to."""

    place: str
    manifest: Manifest
    new_files: int = 0
    new_bytes: int = 0
    seconds: float = 0.0
    mended: int = 0
    """Files that were damaged in the place, and were copied anew."""
    forgotten: str = ""

    def __str__(self) -> str:
        found = self.manifest
        size, new = found.size / 1e6, self.new_bytes / 1e6
        held = f"{count(len(found.tables), 'table')}, {count(len(found.entries), 'file')}, {size:,.1f} MB"
        lines = [
            f"backup of {found.name} in {self.place}: {held}",
            f"copied and read back {count(self.new_files, 'new file')}, {new:,.1f} MB, in {self.seconds:.1f} s",
        ]
        if self.mended:
            lines.append(f"warning: {count(self.mended, 'file')} there had been damaged, and were copied anew")
        return "\n".join([*lines, *([self.forgotten] if self.forgotten else [])])


def back_up(
    settings: Settings, catalog: Catalog, target: str, *, keep: int | None = None, verify: bool = False
) -> Copied:
    """Backs the data folder up to `target`, while runs go on; then forgets all but the newest `keep` backups.

    `verify` reads every file of the backup back, not only those that are new. Raises BackupError and LockedError.
    """
    if not settings.lake_dir.is_dir():
        raise BackupError(f"{settings.lake_dir} is not there; there is nothing to back up")
    place = open_place(target, settings)
    with run_lock(settings.data_dir, name=LOCK):
        started = utc_now()
        place.prepare()
        maker = _Maker(settings, catalog, place, _newest(place), place.stored_files())
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                copied = maker.make(verify=verify)
                break
            except (MovedError, DamagedError):
                if attempt == _ATTEMPTS:
                    raise
        copied.seconds = (utc_now() - started).total_seconds()
        if keep is not None:
            copied.forgotten = _forget(place, keep)
        return copied


def _newest(place: Place) -> Manifest | None:
    """The newest backup that can be read: what it knows of files need not be found out again."""
    for key in reversed(manifest_keys(place)):
        try:
            return read_manifest(place, key)
        except DamagedError:
            continue
    return None


@dataclass
class _Maker:
    settings: Settings
    catalog: Catalog
    place: Place
    before: Manifest | None
    stored: dict[str, int]
    """Hash -> size of the files that lie in the place."""
    new: dict[str, int] = field(default_factory=dict)
    mended: int = 0

    def make(self, *, verify: bool) -> Copied:
        with self._scratch() as scratch:
            sources = list(self._instance(scratch))
            pins = pin_lake(self.catalog, self.settings.lake_dir)
            now = utc_now()
            sources += [source for pin in pins for source in _lake_sources(pin, self.settings.data_dir)]
            entries = self._copy(sources)
        self._read_back(entries, every=verify)
        tables = {pin.folder.relative_to(self.settings.lake_dir).as_posix(): pin.version for pin in pins}
        manifest = Manifest(now, utc_now(), _settings(self.settings), tables, entries)
        write_manifest(self.place, manifest)
        return Copied(self.place.name, manifest, len(self.new), sum(self.new.values()), mended=self.mended)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        self.settings.tmp_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="backup-", dir=self.settings.tmp_dir))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _instance(self, scratch: Path) -> Iterator[Source]:
        home = self.settings.dagster_home
        databases = sum(path.stat().st_size for path in home.rglob("*.db")) if home.is_dir() else 0
        refuse_too_small(scratch, databases)

        def is_known(path: str, size: int, modified: int) -> bool:
            return self._known(f"{INSTANCE}/{path}", size, modified) is not None

        for path, copy, size, modified in instance_files(home, scratch, is_known):
            yield Source(f"{INSTANCE}/{path}", copy, size, modified)

    def _known(self, path: str, size: int, modified: int) -> Entry | None:
        """The entry of the backup before, if the file is still that one and lies in the place."""
        entry = None if self.before is None else self.before.by_path.get(path)
        if entry is None or (entry.source_size, entry.modified) != (size, modified):
            return None
        return entry if self.stored.get(entry.digest) == entry.size else None

    def _copy(self, sources: Sequence[Source]) -> list[Entry]:
        """Copies what is not there yet; entries in the order of the sources."""
        unknown = [s for s in sources if self._known(s.path, s.size, s.modified) is None]
        self.place.refuse_too_small(sum(source.size for source in unknown))
        with ThreadPoolExecutor(_WORKERS) as pool:
            found = list(pool.map(self._entry, sources))
        return [entry for entry in found if entry is not None]

    def _entry(self, source: Source) -> Entry | None:
        known = self._known(source.path, source.size, source.modified)
        if known is not None:
            return known
        try:
            digest = digest_of(source.content)
            size = len(source.content) if isinstance(source.content, bytes) else source.content.stat().st_size
            if self.stored.get(digest) != size:
                self.place.put(key_of(digest), source.content)
                self.stored[digest] = self.new[digest] = size
        except FileNotFoundError:
            if source.is_wanted:
                raise MovedError(f"{source.path} went away while it was copied; run the backup again") from None
            return None
        return Entry(source.path, size, digest, source.size, source.modified)

    def _read_back(self, entries: Sequence[Entry], *, every: bool) -> None:
        """Whether what was copied, or all of it, is there and is what it should be.

        Raises DamagedError after taking away what is not, so that the next attempt copies it anew.
        """
        there = self.place.stored_files()
        paths = {entry.digest: entry.path for entry in entries}
        wanted = sorted(paths if every else self.new.keys() & paths.keys())
        with ThreadPoolExecutor(_WORKERS) as pool:
            good = pool.map(lambda digest: self.place.fetch(digest, None), wanted)
        damaged = {digest for digest, is_good in zip(wanted, good, strict=True) if not is_good}
        damaged |= {entry.digest for entry in entries if there.get(entry.digest) != entry.size}
        if damaged:
            self.place.remove([key_of(digest) for digest in damaged & there.keys()])
            self.mended += len(damaged)
            for digest in damaged:
                self.stored.pop(digest, None)
            names = ", ".join(sorted(paths[digest] for digest in damaged)[:_SHOWN])
            raise DamagedError(f"{self.place.name} does not keep what is written there ({names}); choose another place")


def _lake_sources(pin: Pinned, data_dir: Path) -> Iterator[Source]:
    base = f"{LAKE}/{pin.folder.parent.name}/{pin.folder.name}"
    for path, (content, modified) in pin.contents.items():
        yield Source(f"{base}/{path}", content, len(content), modified)
    for is_wanted, paths in ((True, pin.files), (False, pin.history)):
        for path in paths:
            file = pin.folder / path
            try:
                found = file.stat()
            except FileNotFoundError:
                if is_wanted:
                    raise MovedError(
                        f"{file.relative_to(data_dir)} is gone; when a second backup says so too, the table is "
                        "damaged: see the runbook on an older copy of the lake"
                    ) from None
                continue
            yield Source(f"{base}/{path}", file, found.st_size, found.st_mtime_ns, is_wanted)


def _settings(settings: Settings) -> Mapping[str, Any]:
    """Every setting that is no secret, as text."""
    from pydantic import SecretStr

    named = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        name: None if value is None else str(value) for name, value in named.items() if not isinstance(value, SecretStr)
    }


def _forget(place: Place, keep: int) -> str:
    """Removes all but the newest `keep` backups, and the files that no other names; says what became of them.

    A backup that cannot be read stays, and so does everything: nobody knows what it names.
    """
    keys = manifest_keys(place)
    old, kept = keys[:-keep], keys[-keep:]
    if not old:
        return ""
    try:
        named = {entry.digest for key in kept for entry in read_manifest(place, key).entries}
    except BackupError as error:
        return f"warning: older backups were not forgotten: {error}"
    place.remove(old)
    loose = {digest: size for digest, size in place.stored_files().items() if digest not in named}
    place.remove([key_of(digest) for digest in loose])
    return f"forgot {count(len(old), 'older backup')}, {sum(loose.values()) / 1e6:,.1f} MB"
