"""Putting a backup back: everything is read and compared first, beside the data folder's own; then it is swapped in.

What was there is moved aside, never deleted. The swap is a few renames, named in a journal before the first: a
process that is killed between two of them leaves a swap that the next command finishes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.lake.versions import parse_instant
from dataplatform.operations.backups.make import INSTANCE, LAKE
from dataplatform.operations.backups.manifest import Entry, Manifest, choose, manifest_keys, read_manifest
from dataplatform.operations.backups.place import (
    BackupError,
    DamagedError,
    Place,
    key_of,
    open_place,
    refuse_too_small,
)
from dataplatform.operations.lock import run_lock
from dataplatform.operations.text import count
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from dataplatform.settings import Settings

JOURNAL = "restoring.json"
PARTS = (INSTANCE, LAKE)
_WORKERS = 8
_SHOWN = 5
_HEARTBEAT = timedelta(seconds=60)
"""A daemon that gave a sign of life within this time is taken to be at work."""


@dataclass(frozen=True)
class Chosen:
    """A backup that may be put back: where it lies, what it holds, and how many others lie there."""

    place: Place
    manifest: Manifest
    others: int


def choose_backup(settings: Settings, source: str, to: str | None) -> Chosen:
    """The newest backup in `source`, or the newest of `to` (an instant, or a day) or before. Raises BackupError."""
    place = open_place(source, settings, is_there=True)
    key = choose(place, _instant(to, settings))
    return Chosen(place, read_manifest(place, key), len(manifest_keys(place)) - 1)


def _instant(to: str | None, settings: Settings) -> datetime | None:
    found = None if to is None else parse_instant(to, settings.business_zone)
    if to is not None and found is None:
        raise BackupError(f"--to {to}: not a time; write a day, or an instant with its zone such as 2011-12-09T18:00Z")
    return found


def restore_text(settings: Settings, chosen: Chosen) -> str:
    """What a restore would do, in words."""
    found, others = chosen.manifest, count(chosen.others, "other backup")
    held = f"{count(len(found.tables), 'table')}, {count(len(found.entries), 'file')}, {found.size / 1e6:,.1f} MB"
    lines = [f"the backup of {found.name} in {chosen.place.name}: {held} ({others} there)"]
    lines += [f"{settings.data_dir / part} would be replaced, and moved aside" for part in existing(settings)]
    return "\n".join([*lines, *_differing(settings, found.settings)])


def existing(settings: Settings) -> list[str]:
    """The parts of the data folder that hold something a restore would replace."""
    there = [part for part in PARTS if _holds_files(settings.data_dir / part)]
    return [] if there == [INSTANCE] and not _has_runs(settings.dagster_home) else there


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _has_runs(home: Path) -> bool:
    """Whether anything ever ran there: a command makes an instance before it does anything else."""
    runs = home / "history" / "runs"
    return any(path.name != "index.db" and not path.name.startswith(".") for path in runs.glob("*.db"))


def _differing(settings: Settings, then: Mapping[str, Any]) -> list[str]:
    """Settings that are not what they were; those that name folders differ by nature."""
    lines = []
    for name in ("profile", "start_date", "end_date", "business_zone"):
        now = getattr(settings, name)
        shown = None if now is None else str(now)
        if then.get(name) != shown:
            lines.append(f"setting {name} was {then.get(name) or 'empty'} and is {shown or 'empty'}")
    return lines


def restore(settings: Settings, chosen: Chosen) -> str:
    """Puts the backup in the place of lake and instance, and says what was done.

    Raises DamagedError naming the files that are not what they should be, BackupError when there is no room or a
    daemon is at work on the instance, and LockedError while a run is; in all of these cases nothing has changed.
    """
    from dataplatform.operations.instance import require_agreement

    data, manifest = settings.data_dir, chosen.manifest
    require_agreement(settings, Path.cwd())
    with run_lock(data):
        finish_interrupted(data)
        _refuse_live_daemon(settings)
        stamp = manifest.pinned_at.strftime("%Y%m%dT%H%M%S%f")
        stage = data / f"restoring-{stamp}"
        _fetch_all(chosen.place, manifest, stage)
        aside = data / f"replaced-{utc_now().strftime('%Y%m%dT%H%M%S%f')}"
        replaced = existing(settings)
        _write_journal(data, stage, aside)
        finish_interrupted(data)
        ended = _end_runs(settings)
    lines = [f"{data} holds the backup of {manifest.name} from {chosen.place.name}"]
    if replaced:
        lines.append(f"what was there lies in {aside}; delete it when nobody misses it")
    if ended:
        lines.append(f"{count(ended, 'run')} had not ended when the backup was made, and count as failed")
    return "\n".join([*lines, *_differing(settings, manifest.settings)])


def _fetch_all(place: Place, manifest: Manifest, stage: Path) -> None:
    """Every file of the backup below `stage`, compared with its hash; what lies there from before is not read again."""
    wanted = [entry for entry in manifest.entries if not _is_fetched(stage, entry)]
    refuse_too_small(stage, sum(entry.size for entry in wanted))
    for folder in {(stage / entry.path).parent for entry in manifest.entries} | {stage / part for part in PARTS}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_WORKERS) as pool:
        good = list(pool.map(lambda entry: _fetch(place, stage, entry), wanted))
    damaged = [entry for entry, is_good in zip(wanted, good, strict=True) if not is_good]
    if damaged:
        named = ", ".join(f"{entry.path} ({key_of(entry.digest)})" for entry in damaged[:_SHOWN])
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        raise DamagedError(
            f"{place.name}: {count(len(damaged), 'file')} of the backup of {manifest.name} are missing or damaged: "
            f"{named}{more}; nothing was changed: choose another backup with --to"
        )


def _fetch(place: Place, stage: Path, entry: Entry) -> bool:
    path = stage / entry.path
    partial = path.with_name(f"{path.name}.partial")
    if not place.fetch(entry.digest, partial):
        partial.unlink(missing_ok=True)
        return False
    os.utime(partial, ns=(entry.modified, entry.modified))
    partial.replace(path)
    return True


def _is_fetched(stage: Path, entry: Entry) -> bool:
    """Whether an interrupted restore has it already: its last change is set once its content was compared."""
    try:
        found = (stage / entry.path).stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (entry.size, entry.modified)


def _write_journal(data: Path, stage: Path, aside: Path) -> None:
    partial = data / f"{JOURNAL}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"stage": stage.name, "aside": aside.name}, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(data / JOURNAL)


def finish_interrupted(data: Path) -> bool:
    """Finishes the swap that the journal names, wherever it was interrupted; whether there was one.

    The journal is written once all files are there, so finishing is always right.
    """
    journal = data / JOURNAL
    try:
        named = json.loads(journal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    stage, aside = data / named["stage"], data / named["aside"]
    for part in PARTS:
        if (stage / part).exists():
            if (data / part).exists():
                aside.mkdir(exist_ok=True)
                (data / part).rename(aside / part)
            (stage / part).rename(data / part)
    journal.unlink()
    for left in data.glob("restoring-*"):  # also of restores that were given up
        shutil.rmtree(left, ignore_errors=True)
    return True


def _refuse_live_daemon(settings: Settings) -> None:
    """Raises BackupError while Dagster's daemon works on the instance: it would go on with what is replaced."""
    if not (settings.dagster_home / "history" / "runs.db").exists():
        return
    from sqlalchemy.exc import SQLAlchemyError

    from dataplatform.operations.instance import UnusableInstanceError, open_instance

    try:
        with open_instance(settings) as instance:
            beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    except (UnusableInstanceError, SQLAlchemyError):  # an instance that cannot be read is one more reason to restore
        return
    if beats and time.time() - max(beats) < _HEARTBEAT.total_seconds():
        raise BackupError(
            f"Dagster's daemon is at work on {settings.dagster_home}; stop `dataplatform up` (or `dagster dev`), "
            "wait a minute, and restore again"
        )


def _end_runs(settings: Settings) -> int:
    """Runs that were at work when the backup was made will never end by themselves; how many were ended."""
    import dagster as dg

    from dataplatform.operations.instance import open_instance

    at_work = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    with open_instance(settings) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=at_work))
        for run in runs:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            instance.report_run_failed(run, "it was at work when the backup was made that was put back")
        return len(runs)
