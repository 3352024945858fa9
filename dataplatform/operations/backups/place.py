"""Where backups lie: a folder on this machine or a place in a bucket, behind the same few calls.

Files are stored under their SHA-256, so that an equal file is stored once and a damaged one is known. Whatever is
put there is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.errors import PermanentError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from dataplatform.settings import S3Prefix, Settings

FORMAT = 1
MARKER, FILES, MANIFESTS = "dataplatform-backup.json", "files", "backups"
_RETRIES = 5
"""How often a request to a bucket is tried again; thousands go into one backup."""
_NEWER = "was written by a newer version of the platform; use that version"


class BackupError(PermanentError):
    """A backup cannot be made, or put back. The message names the place or the file, and the next step."""


class DamagedError(BackupError):
    """A file in a place of backups is missing, or is not what its name says."""


@dataclass(frozen=True)
class Place:
    """A folder or bucket of backups. Made by `open_place`; asks nothing until it is used."""

    name: str
    folder: Path | None
    """None for a bucket."""
    store: ObjectStore

    def is_one(self) -> bool:
        """Whether backups lie here. Raises BackupError when they are of a newer format."""
        content = self.read(MARKER)
        if content is None:
            return False
        try:
            found = json.loads(content)["format"]
        except (ValueError, LookupError, TypeError):
            raise DamagedError(f"{self.name}: {MARKER} is damaged; put back the one it had") from None
        if found > FORMAT:
            raise BackupError(f"{self.name}: {MARKER} {_NEWER}")
        return True

    def prepare(self) -> None:
        """Makes this a place of backups, if it is none. Raises BackupError when something else lies here."""
        if self.is_one():
            self._tidy()
            return
        if next(iter(self.listed("")), None) is not None:
            raise BackupError(f"{self.name} holds other files, and no backups; choose an empty folder or prefix")
        self.put(MARKER, json.dumps({"format": FORMAT, "holds": "backups of a dataplatform's data folder"}).encode())

    def _tidy(self) -> None:
        """Removes what a killed process left of a file that it was writing; a bucket shows no such thing."""
        if self.folder is not None:
            for partial in (self.folder / FILES).rglob("*#*"):
                partial.unlink(missing_ok=True)

    def listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Key and size of everything below `prefix`."""
        import obstore

        with self._told("cannot be listed"):
            try:
                for page in obstore.list(self.store, prefix or None):
                    for item in page:
                        yield item["path"], item["size"]
            except FileNotFoundError:
                raise BackupError(f"{self.name}: there is no such bucket; make it, or write another") from None

    def stored_files(self) -> dict[str, int]:
        """Hash -> size of every file that lies here."""
        return {path.rpartition("/")[2]: size for path, size in self.listed(FILES)}

    def read(self, key: str) -> bytes | None:
        """The content of a small object; None when there is none."""
        import obstore

        with self._told(f"{key} cannot be read"):
            try:
                return bytes(obstore.get(self.store, key).bytes())
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes | Path) -> None:
        import obstore

        with self._told(f"{key} cannot be written"):
            obstore.put(self.store, key, content)

    def remove(self, keys: list[str]) -> None:
        import obstore

        if keys:
            with self._told("cannot be tidied"):
                obstore.delete(self.store, keys)

    def fetch(self, digest: str, into: Path | None) -> bool:
        """Reads a stored file to its end, into a file if one is named; whether it is what its name says."""
        import obstore

        found = hashlib.sha256()
        with self._told(f"{key_of(digest)} cannot be read"):
            try:
                stream = obstore.get(self.store, key_of(digest)).stream()
            except FileNotFoundError:
                return False
            if into is None:
                for chunk in stream:
                    found.update(chunk)
            else:
                with into.open("wb") as file:
                    for chunk in stream:
                        found.update(chunk)
                        file.write(chunk)
        return found.hexdigest() == digest

    def refuse_too_small(self, needed: int) -> None:
        """Raises BackupError when a folder's disk has less room than `needed` bytes; a bucket has no end."""
        if self.folder is not None:
            refuse_too_small(self.folder, needed)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        from dataplatform.sources.s3 import answer_of

        try:
            yield
        except BaseError as error:
            # an answer of S3 repeats the key's name and what was signed: nothing of it but status and code is shown
            why = answer_of(error) if self.folder is None else str(error).splitlines()[0]
            advice = "; see DATAPLATFORM_S3_ENDPOINT and AWS's own variables" if self.folder is None else ""
            raise BackupError(f"{self.name}: {what}: {why}{advice}") from None


def key_of(digest: str) -> str:
    """Where the file with this hash lies."""
    return f"{FILES}/{digest[:2]}/{digest}"


def refuse_too_small(folder: Path, needed: int) -> None:
    """Raises BackupError when the disk of `folder` has less room than `needed` bytes."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise BackupError(
            f"{folder}: {needed / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free; make room there"
        )


def open_place(text: str, settings: Settings, *, is_there: bool = False) -> Place:
    """The place that `text` names, made unless it must be there (`is_there`).

    Raises BackupError for one inside the data folder, or that cannot be.
    """
    if "://" in text:
        from dataplatform.sources.s3 import open_store

        bucket = _bucket(text)
        return Place(str(bucket), None, open_store(bucket, settings, retries=_RETRIES))
    folder = Path(text).expanduser().resolve()
    if folder.is_relative_to(settings.data_dir.resolve()):
        raise BackupError(
            f"{folder} lies in the data folder {settings.data_dir}, and would be lost with it; choose another place"
        )
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is a file; write the folder of the backups")
    if is_there and not folder.exists():
        raise BackupError(f"{folder} is not there; write the folder that `dataplatform backup` was given")
    from obstore.store import LocalStore

    return Place(str(folder), folder, LocalStore(folder, mkdir=True))


def _bucket(text: str) -> S3Prefix:
    from pydantic import TypeAdapter, ValidationError

    from dataplatform.settings import Landing, S3Prefix

    try:
        found = TypeAdapter[Path | S3Prefix](Landing).validate_python(text)
    except ValidationError:  # the text may hold a password: it is not repeated
        found = None
    if not isinstance(found, S3Prefix):
        raise BackupError("the place of backups is no folder and no place in a bucket such as s3://bucket/backups")
    return found


def digest_of(content: bytes | Path) -> str:
    """SHA-256 of a file or of bytes, as 64 hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        found: Any = hashlib.file_digest(file, "sha256")
        return str(found.hexdigest())
