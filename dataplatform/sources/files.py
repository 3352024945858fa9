"""Listing and reading what lies in the landing: on this machine's disk, behind the interface that `s3.py` fills too.

Contents mean nothing here. Whatever is not a plain file below the landing folder is refused: a link that leaves it,
a folder, a device, a file that may not be read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataplatform.errors import SourceRefusedError, TransientError, classified
from dataplatform.sources.base import FileRefusedError, Refusal


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One entry of the landing: its name below the root with `/`, its bytes, and a stamp of its last change."""

    name: str
    size: int
    stamp: str

    @property
    def base(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


class Files(Protocol):
    """The landing as sources see it."""

    def list(self, folder: str) -> Sequence[Found]:
        """The entries of one folder, sorted; none when the folder is absent.

        SourceRefusedError when the landing itself is not there or may not be listed, TransientError when storage fails.
        """
        ...

    def read(self, name: str) -> bytes:
        """The content of one entry. FileRefusedError when it may not be read, TransientError when storage fails."""
        ...


class LocalFiles:
    """A landing folder on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, folder: str) -> Sequence[Found]:
        """One scan of the folder."""
        if not self._root.is_dir():
            raise SourceRefusedError(f"there is no landing folder {self._root}; create it or set DATAPLATFORM_LANDING")
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted(_found(folder, entry) for entry in entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            passes = isinstance(classified(error), TransientError)
            raise (TransientError if passes else SourceRefusedError)(
                f"the landing folder {self._root / folder} cannot be listed: {error}"
            ) from error

    def read(self, name: str) -> bytes:
        try:
            return self._inside(name).read_bytes()
        except PermissionError as error:
            raise FileRefusedError(
                Refusal.UNREADABLE, f"{name}: may not be read: {error.strerror}; give the platform's user the right to"
            ) from error
        except OSError as error:
            raise TransientError(f"{name}: cannot be read now: {error.strerror}; run again") from error

    def _inside(self, name: str) -> Path:
        """The plain file that `name` leads to, when it lies below the landing folder."""
        try:
            target = Path(os.path.realpath(self._root / name, strict=True))
        except PermissionError:
            raise
        except OSError as error:
            raise FileRefusedError(
                Refusal.NOT_A_FILE, f"{name}: leads nowhere: {error.strerror}; deliver the file itself"
            ) from error
        if not target.is_relative_to(os.path.realpath(self._root)):
            raise FileRefusedError(
                Refusal.OUTSIDE_LANDING, f"{name}: leads out of the landing folder; deliver the file itself"
            )
        # asked before opening: reading a pipe would wait for ever
        if not stat.S_ISREG(target.stat().st_mode):
            raise FileRefusedError(Refusal.NOT_A_FILE, f"{name}: is not a file; remove it and deliver a file")
        return target


def _found(folder: str, entry: os.DirEntry[str]) -> Found:
    """Links are followed, so that a change of their target shows; a broken one stands for itself.

    The time of the last change of the entry counts too: a corrected file of the same size may be copied with the
    modification time of the wrong one.
    """
    try:
        status = entry.stat()
    except OSError:
        status = entry.stat(follow_symlinks=False)
    return Found(f"{folder}/{entry.name}", status.st_size, f"{status.st_mtime_ns}.{status.st_ctime_ns}")
