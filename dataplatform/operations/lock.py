"""One run per data folder: a lock that the kernel holds, and frees when its holder dies in whatever way.

The file stays where it is; what it contains (the holder's pid) serves the message alone and decides nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dataplatform.errors import PermanentError, TransientError

FILE = "run.lock"
_PAUSE = 0.1
_GLANCE = 0.3
"""How long even those who do not wait try: `holder` takes the lock for a moment to see whether it is free."""


class LockedError(TransientError):
    """Another run holds the data folder. 75 is what `sysexits.h` calls a temporary failure."""

    exit_code = 75


@contextmanager
def run_lock(
    data_dir: Path, *, wait: float = 0, pause: Callable[[float], None] = time.sleep, name: str = FILE
) -> Iterator[None]:
    """Holds the data folder; waits up to `wait` seconds for another run to end.

    `name` is the lock's file: work that may go on beside a run holds another one. Raises LockedError naming the
    holder's pid, and PermanentError when the folder cannot be written.
    """
    path = data_dir / name
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise PermanentError(
            f"cannot write in the data folder {data_dir}: {error.strerror}; choose another with --data-dir"
        ) from error
    with file:  # closing the file frees the lock
        _acquire(file, path, wait, pause)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def holder(data_dir: Path) -> str | None:
    """Who holds the data folder now, in words; None when nobody does."""
    path = data_dir / FILE
    try:
        with path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _named(path)
    return None


def _acquire(file: IO[str], path: Path, wait: float, pause: Callable[[float], None]) -> None:
    deadline = time.monotonic() + max(wait, _GLANCE)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(_who(path, wait)) from None
            pause(_PAUSE)
        else:
            return


def _who(path: Path, wait: float) -> str:
    waited = f", even after {wait:g} s" if wait else "; wait for it with --wait SECONDS"
    return f"{_named(path)} is at work in {path.parent}{waited}"


def _named(path: Path) -> str:
    pid = path.read_text(encoding="utf-8").strip()
    return f"process {pid}" if pid else "another process"
