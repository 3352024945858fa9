"""Disks that are full or cannot be written, for tests: mounted where that is allowed, else the next best thing.

Root is bound by no permission bits, so root mounts. Who may not mount gets a limit on the size of files (which stops
writes as a full disk does, with other words) and permission bits; `says` is what the machine then says.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class TinyDisk:
    """A folder on a disk of its own. `fill` leaves a few bytes of it, `free` gives all of it back."""

    says = r"No space left on device|database or disk is full|disk I/O error, with 0\.0 MB left"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, leave: int) -> None:
        free = shutil.disk_usage(self.folder).free
        with (self.folder / "filler").open("wb") as file:
            for _ in range(max(0, free - leave) // 4096):
                file.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


class LimitedFiles(TinyDisk):
    """The same for who may not mount: this process may let no file grow beyond what is left."""

    says = "File too large|database or disk is full|disk I/O error"

    def fill(self, leave: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (leave, resource.RLIM_INFINITY))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def tiny_disk(folder: Path, megabytes: int) -> Iterator[TinyDisk]:
    """Puts `folder`, with what is in it, on a disk of its own of so many megabytes."""
    kept = folder.with_name(folder.name + "-before")
    shutil.copytree(folder, kept, symlinks=True)
    with ExitStack() as stack:
        if _mount(stack, folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"):
            shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
            yield TinyDisk(folder)
        else:
            yield stack.enter_context(limited_files(folder))


@contextmanager
def limited_files(folder: Path) -> Iterator[TinyDisk]:
    """What serves as a tiny disk without a mount."""
    disk = LimitedFiles(folder)
    try:
        yield disk
    finally:
        disk.free()


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    """Nobody can write `folder`. Gives what the machine says to who tries, as a pattern."""
    with ExitStack() as stack:
        if _mount(stack, folder, "--bind", str(folder)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True, capture_output=True)
            yield "Read-only file system|readonly database"
        elif os.geteuid() == 0:
            disk = stack.enter_context(limited_files(folder))
            disk.fill(0)
            yield disk.says
        else:
            modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")] if not path.is_symlink()}
            for path, mode in modes.items():
                path.chmod(mode & ~0o222)
            for path, mode in modes.items():
                stack.callback(path.chmod, mode)
            yield "Permission denied|readonly database"


def _mount(stack: ExitStack, folder: Path, *arguments: str) -> bool:
    """Mounts on `folder` until the stack ends; whether that was allowed."""
    tried = subprocess.run(["mount", *arguments, str(folder)], check=False, capture_output=True)
    if tried.returncode:
        return False
    stack.callback(lambda: subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True))
    return True
