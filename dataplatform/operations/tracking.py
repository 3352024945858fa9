"""What run tracking says now: the latest step of every table, and the slices that failed and were not made since.

Writing `operations.table_runs` is `assets/tracking.py`; people read it with `dataplatform query`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dataplatform.assets.tracking import SERVING

if TYPE_CHECKING:
    from dataplatform.planner.plan import SliceName
    from dataplatform.project import Project

_LATEST = """
    SELECT layer, table_name, run_id, status, started_at, ended_at, partition_count, first_partition, last_partition,
           rows_in, rows_published, rows_quarantined, failed_count, error_kind, error
    FROM operations.table_runs
    QUALIFY row_number() OVER (PARTITION BY layer, table_name ORDER BY ended_at DESC) = 1
    ORDER BY layer, table_name
"""
_FAILED = """
    WITH touched AS (
        SELECT layer, table_name, run_id, ended_at, error_kind, failures,
               unnest(list_filter(partitions, lambda p: NOT list_contains(left_partitions, p))) AS partition
        FROM operations.table_runs
    ),
    judged AS (
        SELECT * EXCLUDE failures, failures[partition] AS problem,
               max(ended_at) FILTER (problem IS NULL) OVER (PARTITION BY layer, table_name, partition) AS good_at
        FROM touched
    )
    SELECT layer, table_name, partition, min(ended_at) AS since, max(ended_at) AS last, count(*) AS attempts,
           arg_max(run_id, ended_at) AS run_id, arg_max(error_kind, ended_at) AS error_kind,
           arg_max(problem, ended_at) AS problem
    FROM judged WHERE problem IS NOT NULL AND (good_at IS NULL OR ended_at > good_at)
    GROUP BY ALL ORDER BY layer, table_name, partition
"""


@dataclass(frozen=True, slots=True)
class TableRun:
    """The latest step of one table. Its columns are those of `operations.table_runs`."""

    layer: str
    table_name: str
    run_id: str
    status: str
    started_at: datetime
    ended_at: datetime
    partition_count: int
    first_partition: str
    last_partition: str
    rows_in: int | None
    rows_published: int
    rows_quarantined: int
    failed_count: int
    error_kind: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class FailedSlice:
    """A slice whose latest step failed: since when, when and in which run last, how often, and why, in one line."""

    layer: str
    table_name: str
    partition: str
    since: datetime
    last: datetime
    attempts: int
    run_id: str
    error_kind: str
    problem: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """The latest step per table name, and the slices that are still failed."""

    latest: Mapping[str, TableRun]
    failed: Sequence[FailedSlice]


def latest_table_runs(project: Project, *, stale: Collection[SliceName] | None = None) -> Tracking:
    """What run tracking says now of the tables that there are. Nothing is written; running steps are not in it.

    A later good publication of a slice clears its failure. A slice may also come right without one (a bad correction
    is taken back): `stale`, the `(table, partition)` pairs of a plan, leaves out those that need nothing any more.
    """
    latest = [TableRun(**row) for row in _rows(project, _LATEST)]
    failed = [FailedSlice(**row) for row in _rows(project, _FAILED)]
    names = {contract.name for contract in project.catalog}
    return Tracking(
        {run.table_name: run for run in latest if run.table_name in names or run.layer == SERVING},
        [
            slice_
            for slice_ in failed
            if slice_.layer == SERVING
            or (slice_.table_name in names and (stale is None or (slice_.table_name, slice_.partition) in stale))
        ],
    )


def _rows(project: Project, sql: str) -> list[dict[str, Any]]:
    from dataplatform.serving.query import run_query

    with run_query(project.settings, project.catalog, sql) as answer:
        return [row for batch in answer.batches() for row in batch.to_pylist()]
