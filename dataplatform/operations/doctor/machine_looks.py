"""Looks at the machine: settings, folders, room on the disk, files left behind, packages, time zones."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dataplatform.operations.doctor.finding import Finding, Kind, error, warning
from dataplatform.operations.doctor.leftovers import left_files, remove, size_of
from dataplatform.operations.text import count

if TYPE_CHECKING:
    from dataplatform.operations.doctor.patient import Patient

LEAST_FREE = 200_000_000
"""Bytes: below that a step that spills, or Dagster's own files, may fail at any moment."""
_LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)[ ]*(;)?", re.MULTILINE)
_YEARS = 2
"""How far ahead clock changes are compared."""
_NAMED = 4


def settings(patient: Patient) -> Iterator[Finding]:
    """Whether the settings are accepted."""
    for line in patient.refusal.splitlines():
        yield error(Kind.SETTINGS_REFUSED, line, "mend it where the brackets say; see dataplatform settings")


def folders(patient: Patient) -> Iterator[Finding]:
    """Whether what is made can be written, and what is delivered can be read."""
    used = patient.settings
    made = (used.data_dir, used.lake_dir, used.warehouse_dir, used.reports_dir, used.dagster_home, used.tmp_dir)
    for folder in made:
        there = _nearest(folder)
        if not there.is_dir():
            yield error(Kind.FOLDER_UNUSABLE, f"{there} is no folder", f"move {there} away")
        elif not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            yield error(Kind.FOLDER_UNUSABLE, f"{there} cannot be written", f"chmod u+rwx {there}")
    landing = used.landing
    if isinstance(landing, Path) and not (landing.is_dir() and os.access(landing, os.R_OK | os.X_OK)):
        state = "cannot be read" if landing.is_dir() else "is not there"
        yield error(Kind.FOLDER_UNUSABLE, f"the landing {landing} {state}", "put DATAPLATFORM_LANDING right")


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that there is."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def disk(patient: Patient) -> Iterator[Finding]:
    """Whether there is room for what runs next, and for every table to be made once more beside itself."""
    used = patient.settings
    free = shutil.disk_usage(_nearest(used.data_dir)).free
    size = size_of(used.lake_dir) + size_of(used.warehouse_dir)
    what = f"{free / 1e6:,.0f} MB are free at {used.data_dir}"
    mend = "make room; dataplatform maintain says what it would remove"
    if free < LEAST_FREE:
        yield error(Kind.DISK_LOW, f"{what}, less than {LEAST_FREE / 1e6:,.0f}", mend)
    elif free < size:
        yield warning(Kind.DISK_LOW, f"{what}, less than lake and warehouse take ({size / 1e6:,.0f} MB)", mend)


def leftovers(patient: Patient) -> Iterator[Finding]:
    """What processes that ended in the middle left behind a day ago or longer, and nobody has open."""
    left = left_files(patient.settings, patient.now)
    if left:
        names = ", ".join(str(path.relative_to(patient.settings.data_dir)) for path in left[:_NAMED])
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        what = f"{count(len(left), 'file')} of processes that ended: {names}{more}"
        size = sum(size_of(path) for path in left)
        fix = partial(remove, patient.settings, left, patient.now)
        yield warning(Kind.LEFTOVERS, f"{what} ({size / 1e6:,.1f} MB)", "dataplatform doctor --fix", fix)


def versions(patient: Patient) -> Iterator[Finding]:
    """Packages that are not installed as they are locked; what is locked for another system may be missing."""
    from importlib.metadata import PackageNotFoundError, version

    wanted: dict[str, tuple[set[str], bool]] = {}
    if not patient.lock.is_file():  # installed without the checkout: there is nothing to compare with
        return
    for name, pinned, marker in _LOCKED.findall(patient.lock.read_text(encoding="utf-8")):
        pins, is_needed = wanted.get(name, (set(), False))
        wanted[name] = (pins | {pinned}, is_needed or not marker)
    differ = []
    for name, (pins, is_needed) in wanted.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            differ += [f"{name} {'/'.join(sorted(pins))} is not installed"] if is_needed else []
        else:
            differ += [] if installed in pins else [f"{name} is {installed}, not {'/'.join(sorted(pins))}"]
    if differ:
        more = f" and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
        mend = f"pip install --require-hashes --no-deps -r {patient.lock}"
        yield warning(Kind.VERSIONS_DIFFER, f"{'; '.join(differ[:_NAMED])}{more}", mend)


def time_zones(patient: Patient) -> Iterator[Finding]:
    """Whether Python and DuckDB, each with a time zone database of its own, agree on the business's days."""
    import duckdb

    zone = ZoneInfo(patient.settings.business_zone)
    first, last = patient.settings.start_date.year, patient.now.year + _YEARS
    # the 3rd of a month at noon tells summer from winter, whenever the clocks changed in the month before
    instants = [datetime(year, month, 3, 12, tzinfo=UTC) for year in range(first, last) for month in range(1, 13)]
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT timezone(?, each) FROM (SELECT unnest(?::TIMESTAMPTZ[]) AS each)", [zone.key, instants]
        ).fetchall()
    differ = [
        instant
        for instant, (local,) in zip(instants, rows, strict=True)
        if instant.astimezone(zone).replace(tzinfo=None) != local
    ]
    if differ:
        what = (
            f"Python and DuckDB disagree on {zone.key} in {differ[0]:%Y-%m} and {count(len(differ) - 1, 'month')} more"
        )
        yield error(Kind.TIME_ZONE_DIFFERS, what, "bring the system's tzdata and the package duckdb up to date")
