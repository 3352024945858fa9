"""What the rules say of each slice now: the newest verdicts, without reading the history of all rules every minute.

`quality.rule_results` grows for ever, and only its newest part is news. This cache remembers which of the table's
files it has read and the verdicts that count, and reads only files it does not know. When files that it knows have
gone (compacted, restored), it starts anew. It may be deleted at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.lake.platform_tables import QUALITY
from dataplatform.operations.alerts.outbox import FOLDER
from dataplatform.quality.results import Status

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "verdicts.db"
_SLICE = ("table_name", "partition", "evaluated_at")
_TOLD = ("run_id", "rule", "severity", "status", "expected", "found")
_TABLES = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evaluations (
    table_name TEXT NOT NULL, partition TEXT NOT NULL, newest INTEGER NOT NULL, published INTEGER NOT NULL,
    PRIMARY KEY (table_name, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
    table_name TEXT NOT NULL, partition TEXT NOT NULL, evaluated_at INTEGER NOT NULL, run_id TEXT NOT NULL,
    rule TEXT NOT NULL, severity TEXT NOT NULL, status TEXT NOT NULL, expected TEXT NOT NULL, found TEXT NOT NULL);
"""
_UPSERT = """
INSERT INTO evaluations VALUES (?, ?, ?, ?) ON CONFLICT (table_name, partition) DO UPDATE SET
    newest = max(newest, excluded.newest), published = max(published, excluded.published)
"""
_OUTDATED = """
DELETE FROM verdicts WHERE NOT EXISTS (
    SELECT 1 FROM evaluations AS e WHERE e.table_name = verdicts.table_name AND e.partition = verdicts.partition
    AND verdicts.evaluated_at IN (e.newest, e.published))
"""
_CURRENT = """
SELECT v.table_name, v.partition, v.run_id, v.rule, v.severity, v.status, v.expected, v.found
FROM verdicts AS v JOIN evaluations AS e USING (table_name, partition)
WHERE (v.evaluated_at = e.newest AND v.status = 'failed') OR (v.evaluated_at = e.published AND v.status <> 'failed')
ORDER BY v.table_name, v.rule, v.partition
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A verdict that stands: a rule that did not pass when its slice was judged last.

    `failed` verdicts are those of the newest attempt, the others those of the newest that nothing blocked: that is
    what is published.
    """

    table: str
    partition: str
    run_id: str
    rule: str
    severity: str
    status: Status
    expected: str
    found: str


def standing_verdicts(data_dir: Path, lake_root: Path) -> list[Standing]:
    """Every verdict that stands, by table, rule and partition."""
    with _opened(data_dir / FOLDER) as cache:
        _refresh(cache, lake_root / QUALITY / "rule_results")
        return [_standing(row) for row in cache.execute(_CURRENT)]


def _standing(row: Sequence[str]) -> Standing:
    table, partition, run_id, rule, severity, status, expected, found = row
    return Standing(table, partition, run_id, rule, severity, Status(status), expected, found)


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    try:
        connection.executescript(_TABLES)
        yield connection
    finally:
        connection.close()


def _refresh(cache: sqlite3.Connection, uri: Path) -> None:
    """Takes in what the table has gained. In one transaction: a process that dies leaves the cache as it was."""
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    with cache:
        cache.execute("BEGIN IMMEDIATE")
        known = {path for (path,) in cache.execute("SELECT path FROM files")}
        try:
            handle = DeltaTable(str(uri))
        except TableNotFoundError:
            paths: set[str] = set()
        else:
            paths = set(handle.file_uris())
        if not known <= paths:
            for table in ("files", "evaluations", "verdicts"):
                cache.execute(f"DELETE FROM {table}")
            known = set()
        if paths - known:
            _take_in(cache, _read(sorted(paths - known)))
            cache.executemany("INSERT INTO files VALUES (?)", [(path,) for path in paths - known])


def _read(paths: Sequence[str]) -> pa.Table:
    import pyarrow.dataset as ds

    return ds.dataset(list(paths), format="parquet").to_table(columns=[*_SLICE, *_TOLD])


def _take_in(cache: sqlite3.Connection, results: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    stamped = results.set_column(
        results.schema.get_field_index("evaluated_at"), "evaluated_at", results["evaluated_at"].cast(pa.int64())
    )
    blocked = stamped.append_column("is_blocked", pc.equal(stamped["status"], pa.scalar(Status.FAILED.value)))
    evaluations = blocked.group_by(list(_SLICE)).aggregate([("is_blocked", "max")])
    cache.executemany(_UPSERT, [_evaluation(row) for row in evaluations.to_pylist()])
    broken = stamped.filter(pc.not_equal(stamped["status"], pa.scalar(Status.PASSED.value)))
    rows = broken.select([*_SLICE, *_TOLD]).to_pylist()
    cache.executemany(f"INSERT INTO verdicts VALUES ({', '.join('?' * 9)})", [tuple(row.values()) for row in rows])
    cache.execute(_OUTDATED)


def _evaluation(row: dict[str, Any]) -> tuple[str, str, int, int]:
    at = row["evaluated_at"]
    return row["table_name"], row["partition"], at, 0 if row["is_blocked_max"] else at
