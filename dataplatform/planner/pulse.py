"""Whether anything that a plan depends on has changed: one short text, a tenth of a plan's cost.

Names of files suffice: Delta's log, the records of publications and the notes of attempts only ever gain and lose
whole files. Landing files count by their signatures, the warehouse and the report by what lies in their folders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import PlatformError

if TYPE_CHECKING:
    from dataplatform.project import Project


def pulse(project: Project) -> str:
    """Equal texts, equal plans, as long as nothing that waits has waited long enough."""
    digest = hashlib.sha256()
    for part in _parts(project):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]


def _parts(project: Project) -> Iterator[str]:
    settings = project.settings
    yield project.last_date.isoformat()
    yield settings.today().isoformat()
    for contract in project.catalog:
        yield project.version_of(contract)
        if contract.source is not None and project.days:
            try:
                offers = project.source(contract).offers(project.days[0], project.days[-1])
            except PlatformError as error:  # a source that is down says when it is asked again, and differs by that
                yield str(error)
            else:
                yield "".join(offer.signature for offer in offers.values())
    for layer in _folders(settings.lake_dir):
        for table in _folders(layer):
            yield str(table)
            for folder in _folders(table):
                if folder.name.startswith("_"):
                    yield from _names(folder)
    yield from _names(settings.warehouse_dir)
    for page in sorted(settings.reports_dir.glob("*.html")):
        yield f"{page.name} {page.stat().st_mtime_ns}"


def files_changed_since(folder: Path, moment: float) -> list[str]:
    """The files of contracts and functions that were written after `moment` (seconds since 1970), by name."""
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.suffix in {".yaml", ".py", ".sql"} and path.stat().st_mtime > moment:
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def _folders(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError):
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    return []


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(entry.name for entry in os.scandir(folder))
    return []
