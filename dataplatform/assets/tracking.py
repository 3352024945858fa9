"""Run tracking: one row per table and step in `operations.table_runs`, whatever became of the step.

A row is noted when its step ends (also when it raises or is cancelled) and committed at the end of the run. Noting it
never fails a publication that has happened: what went wrong is told, and the row is missing. A process that is killed
leaves no row of the step it was in. Reading the table is `operations/tracking.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dataplatform.contracts.model import WHOLE
from dataplatform.errors import OvertakenError, PlatformError, TransientError, UnexpectedError, classified
from dataplatform.lake.platform_tables import OPERATIONS, PlatformTables
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.assets.slices import Outcome
    from dataplatform.project import Project

TABLE = "table_runs"
FULL_NAME = f"{OPERATIONS}.{TABLE}"
SERVING = "serving"
"""The layer under which warehouse and report are tracked."""
PHASES = ("make", "judge", "publish", "record")
Phase = Literal["make", "judge", "publish", "record"]
_log = logging.getLogger("dataplatform")


def schema() -> pa.Schema:
    """The columns of `operations.table_runs`."""
    import pyarrow as pa

    text, count, texts = pa.string(), pa.int64(), pa.list_(pa.string())
    instant = pa.timestamp("us", tz="UTC")
    columns: dict[str, pa.DataType] = {
        "run_id": text,
        "layer": text,
        "table_name": text,
        "status": text,
        "started_at": instant,
        "ended_at": instant,
        "partition_count": count,
        "first_partition": text,
        "last_partition": text,
        "partitions": texts,
        "left_partitions": texts,
        "failed_count": count,
        "failures": pa.map_(text, text),
        "rows_in": count,
        "rows_made": count,
        "rows_published": count,
        "rows_unchanged": count,
        "rows_quarantined": count,
        "bytes_written": count,
        **{f"seconds_{phase}": pa.float64() for phase in PHASES},
        "version_read": count,
        "input_versions": pa.map_(text, count),
        "version_written": count,
        "attempts": count,
        "error_kind": text,
        "error": text,
    }
    return pa.schema(columns)


@dataclass
class StepRun:
    """What is learned of one step while it runs. Counts that nobody knows are None, and NULL in the table."""

    run_id: str
    layer: str
    table: str
    partitions: Sequence[str]
    started_at: datetime = field(default_factory=utc_now)
    status: str = "failed"
    failures: Mapping[str, str] = field(default_factory=dict)
    """partition -> why it was not published, in one line."""
    left: Sequence[str] = ()
    rows_in: int | None = None
    rows_made: int | None = None
    rows_published: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    bytes_written: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    version_read: int | None = None
    input_versions: Mapping[str, int] = field(default_factory=dict)
    version_written: int | None = None
    attempts: int = 1
    error_kind: str | None = None
    error: str | None = None
    done: Collection[str] = ()
    """The partitions that were judged, published or left, so far."""
    untold: str = ""
    """Why the row could not be stored; empty when it was."""

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Adds the wall time of what is done inside to one phase; repeated attempts add up."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - before

    def read(self, rows: int | None, made: int) -> None:
        """Adds what one chunk of the step read and made."""
        self.rows_in = self.rows_in if rows is None else (self.rows_in or 0) + rows
        self.rows_made = (self.rows_made or 0) + made

    def judged(self, outcome: Outcome) -> None:
        """Takes over what became of the slices."""
        slices = self.done = outcome.slices
        self.rows_published = sum(s.rows for s in slices.values() if s.status == "published")
        self.rows_unchanged = sum(s.rows for s in slices.values() if s.status == "unchanged")
        self.rows_quarantined = sum(s.quarantined for s in slices.values())
        self.left = sorted(s.partition for s in slices.values() if s.status == "left")
        self.failures = {s.partition: _line("; ".join(s.problems)) for s in outcome.failed}
        self.status = _status(outcome)
        if self.failures:
            (partition, problem), *more = self.failures.items()
            count = f" (and {len(more)} more partitions)" if more else ""
            passes = all(s.status == "unread" for s in outcome.failed)
            self.error_kind, self.error = "transient" if passes else "permanent", f"{partition}: {problem}{count}"

    def broken(self, error: BaseException) -> None:
        """Takes over what ended the step: it failed in every partition that was not done before."""
        self.error_kind, self.error = error_kind(error), error_line(error)
        self.failures = {
            **dict.fromkeys((p for p in self.partitions if p not in self.done), self.error),
            **self.failures,
        }
        self.status = "partly_failed" if self.status in ("published", "unchanged", "partly_failed") else "failed"

    def row(self, ended_at: datetime) -> dict[str, Any]:
        names = sorted(self.partitions)
        return {
            "run_id": self.run_id,
            "layer": self.layer,
            "table_name": self.table,
            "status": self.status,
            "started_at": self.started_at,
            "ended_at": ended_at,
            "partition_count": len(names),
            "first_partition": names[0],
            "last_partition": names[-1],
            "partitions": names,
            "left_partitions": list(self.left),
            "failed_count": len(self.failures),
            "failures": sorted(self.failures.items()),
            "rows_in": self.rows_in,
            "rows_made": self.rows_made,
            "rows_published": self.rows_published,
            "rows_unchanged": self.rows_unchanged,
            "rows_quarantined": self.rows_quarantined,
            "bytes_written": self.bytes_written,
            **{f"seconds_{phase}": self.seconds.get(phase, 0.0) for phase in PHASES},
            "version_read": self.version_read,
            "input_versions": sorted(self.input_versions.items()),
            "version_written": self.version_written,
            "attempts": self.attempts,
            "error_kind": self.error_kind,
            "error": self.error,
        }


def _status(outcome: Outcome) -> str:
    statuses = {s.status for s in outcome.slices.values()}
    if outcome.failed and outcome.published:
        return "partly_failed"
    if outcome.failed:
        return "refused" if statuses == {"refused"} else "failed"
    return next((status for status in ("published", "unchanged", "left") if status in statuses), "failed")


@contextmanager
def tracked(lake_root: Path, run: StepRun) -> Iterator[StepRun]:
    """Notes the row of a step when it ends. Whatever it raises is recorded and raised on."""
    try:
        yield run
    except BaseException as error:  # a cancelled step is a step
        run.broken(error)
        raise
    finally:
        try:
            _note(lake_root, run)
        except Exception as error:  # noqa: BLE001 - what was published is published
            run.untold = f"{FULL_NAME}: the row of {run.layer}.{run.table} was not stored: {error_line(error)}"
            _log.warning(run.untold)


@contextmanager
def tracked_serving(project: Project, run_id: str, name: str) -> Iterator[StepRun]:
    """The same for a step of the layer `serving`, which has no contract. Its row is committed at once."""
    with tracked(project.lake.root, StepRun(run_id, SERVING, name, [WHOLE])) as run:
        yield run
    commit_tracking(project.lake.root)


def _note(lake_root: Path, run: StepRun) -> None:
    import pyarrow as pa

    rows = pa.Table.from_pylist([run.row(utc_now())], schema=schema())
    PlatformTables(lake_root).note(OPERATIONS, TABLE, rows)


def commit_tracking(lake_root: Path) -> None:
    """Commits what steps noted, at the end of a run. A failure is told and costs nothing: the rows stay noted."""
    try:
        PlatformTables(lake_root).commit_notes()
    except Exception as error:  # noqa: BLE001 - what was published is published
        _log.warning("%s: rows of this run wait for the next one to commit them: %s", FULL_NAME, error_line(error))


def error_kind(error: BaseException) -> str:
    """`permanent`, `transient`, `overtaken`, `unexpected` (a bug, or unknown to the platform), or `interrupted`."""
    if not isinstance(error, Exception):
        return "interrupted"
    known = classified(error)
    if isinstance(known, OvertakenError):
        return "overtaken"
    if isinstance(known, TransientError):
        return "transient"
    return "unexpected" if isinstance(known, UnexpectedError) else "permanent"


def error_line(error: BaseException) -> str:
    """One line. Messages that are not the platform's may hold values of private columns: their kind and place do."""
    if isinstance(error, PlatformError):
        return _line(str(error))
    kind = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"
    return f"{kind}{where}"


def _line(text: str) -> str:
    """At most 500 characters in one line."""
    line = " ".join(text.split())
    return line if len(line) <= 500 else f"{line[:499]}…"
