"""Filling one warehouse file: changed slices are replaced by name, inside a transaction that the caller holds.

What was loaded is written down in the same transaction, and every table's rows are counted before it may be
committed. Where the file comes from, and how it becomes the current one, is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.engines.duckdb import quote, relation_sql
from dataplatform.errors import PermanentError
from dataplatform.warehouse.contents import Change, Served
from dataplatform.warehouse.ddl import create_sql, qualified

if TYPE_CHECKING:
    import duckdb

_PLATFORM_SQL = """
CREATE SCHEMA IF NOT EXISTS platform;
CREATE TABLE IF NOT EXISTS platform.loaded_tables (
    table_name VARCHAR PRIMARY KEY,
    definition VARCHAR NOT NULL,
    delta_version BIGINT NOT NULL,
    loaded_at TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS platform.loaded_slices (
    table_name VARCHAR NOT NULL,
    partition VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    row_count BIGINT NOT NULL,
    run_id VARCHAR,
    published_at TIMESTAMPTZ,
    loaded_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE platform.loaded_tables IS 'Which version of each lake table is loaded here.';
COMMENT ON TABLE platform.loaded_slices IS 'Which revision of each published partition is loaded here, and its run.';
"""


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One table in a refresh: slices and rows that were brought in, and all rows here and in the lake."""

    table: str
    slices: int
    rows: int
    total_rows: int
    lake_rows: int


class OtherRowsError(PermanentError):
    """A filled file does not hold as many rows as the lake."""


class BrokenConstraintError(PermanentError):
    """Rows of `table` that were published under an older contract break a constraint of today's."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"{table}: {reason}")
        self.table = table


def fill(
    connection: duckdb.DuckDBPyConnection,
    served: Sequence[Served],
    changes: Sequence[Change],
    now: datetime,
    unconstrained: Collection[str] = (),
) -> tuple[TableLoad, ...]:
    """Applies `changes` and counts every table; `unconstrained` tables are made without their constraints.

    Raises BrokenConstraintError, and OtherRowsError when a count is not the lake's.
    """
    connection.execute(_PLATFORM_SQL)
    rows = {
        name: _load(connection, change, enforced=name not in unconstrained)
        for change in changes
        for name in [change.served.contract.full_name]
    }
    _note(connection, changes, now)
    slices = {change.served.contract.full_name: len({*change.out, *change.new}) for change in changes}
    tables = tuple(
        TableLoad(name, slices.get(name, 0), rows.get(name, 0), _count(connection, table), table.lake_rows)
        for table in served
        for name in [table.contract.full_name]
    )
    _refuse_other_rows(tables)
    return tables


def _load(connection: duckdb.DuckDBPyConnection, change: Change, *, enforced: bool) -> int:
    """Replaces a table's changed slices, by name, inside the transaction that is open. Returns the rows brought in."""
    import duckdb

    contract, opened = change.served.contract, change.served.opened
    table = qualified(contract)
    everything = change.is_new_definition or not contract.is_partitioned
    if everything:
        for statement in create_sql(contract, enforced=enforced):
            connection.execute(statement)
    elif change.out:
        days = ", ".join(f"DATE '{name}'" for name in change.out)
        connection.execute(f"DELETE FROM {table} WHERE {quote(contract.partition_column or '')} IN ({days})")
    if not everything and not change.new:
        return 0
    rows = relation_sql(connection, opened, None if everything else change.new, (), f"_{contract.name}")
    try:
        inserted = connection.execute(f"INSERT INTO {table} BY NAME {rows}").fetchone()
    except duckdb.ConstraintException as error:
        raise BrokenConstraintError(contract.full_name, str(error).splitlines()[0]) from error
    return int(inserted[0]) if inserted else 0


def _note(connection: duckdb.DuckDBPyConnection, changes: Sequence[Change], now: datetime) -> None:
    """Writes down what is loaded, in the same transaction as the rows."""
    import pyarrow as pa

    slices = []
    for change in changes:
        name = change.served.contract.full_name
        connection.execute(
            "INSERT OR REPLACE INTO platform.loaded_tables VALUES (?, ?, ?, ?)",
            [name, change.served.definition, change.served.opened.version, now],
        )
        connection.execute(
            "DELETE FROM platform.loaded_slices WHERE table_name = ? AND list_contains(?, partition)",
            [name, [*change.out, *change.new]],
        )
        for partition in change.new:
            loaded = change.served.slices[partition]
            slices.append((name, partition, loaded.revision, loaded.rows, loaded.run_id, loaded.published_at, now))
    if not slices:
        return
    columns = ["table_name", "partition", "revision", "row_count", "run_id", "published_at", "loaded_at"]
    types = [*[pa.string()] * 3, pa.int64(), *[pa.string()] * 2, pa.timestamp("us", tz="UTC")]
    values = [pa.array(column, type=kind) for column, kind in zip(zip(*slices, strict=True), types, strict=True)]
    connection.register("_noted", pa.table(values, names=columns))
    connection.execute("INSERT INTO platform.loaded_slices BY NAME SELECT * FROM _noted")
    connection.unregister("_noted")


def _count(connection: duckdb.DuckDBPyConnection, table: Served) -> int:
    row = connection.execute(f"SELECT count(*) FROM {qualified(table.contract)}").fetchone()
    return int(row[0]) if row else 0


def _refuse_other_rows(tables: Sequence[TableLoad]) -> None:
    wrong = [
        f"{t.table}: {t.total_rows} rows, {t.lake_rows} in the lake" for t in tables if t.total_rows != t.lake_rows
    ]
    if wrong:
        raise OtherRowsError(
            f"the refreshed warehouse is not what the lake holds ({'; '.join(wrong)}) and was thrown away; "
            "its files say they have other rows than they have: see `dataplatform check` of these tables"
        )
