"""Making a Delta table older than it is: retention is measured in days, and a test has seconds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

DAY = 86_400


def grow_older(folder: Path, days: float) -> None:
    """Moves every instant that Delta looks at back: in the log's entries, and of all files.

    Instants inside checkpoints stay: where it matters, a test ages the log before a checkpoint is written.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            if path.parent.name == "_delta_log" and path.suffix == ".json":
                lines = path.read_text(encoding="utf-8").splitlines()
                path.write_text("".join(_older(json.loads(line), days) for line in lines), encoding="utf-8")
            os.utime(path, (status.st_atime - days * DAY, status.st_mtime - days * DAY))


def _older(action: dict[str, Any], days: float) -> str:
    for kind in ("commitInfo", "add", "remove"):
        for name in ("timestamp", "modificationTime", "deletionTimestamp"):
            if name in action.get(kind, {}):
                action[kind][name] -= int(days * DAY * 1000)
    return json.dumps(action) + "\n"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
