"""DuckDB, embedded: one in-memory connection per step that may spill to disk, and never a database file.

Candidates are staged under the Law of the cast: `SELECT CAST(column AS contract type), …` around the compiled SQL,
because Ibis declares one type where DuckDB delivers another, and a writer would store the wrong digits silently.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from dataplatform.contracts.model import WHOLE, Contract
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.macros import MACROS
from dataplatform.engines.session import ROW_ERRORS, Staged
from dataplatform.errors import ShapeError, UnfitValueError
from dataplatform.lake.table import predicate

if TYPE_CHECKING:
    import duckdb
    import ibis
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

    from dataplatform.lake.table import Opened


def quote(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class DuckDBSession:
    """One step's DuckDB connection. `memory_limit` as DuckDB writes it (`1GB`); what exceeds it goes to `spill`."""

    def __init__(self, memory_limit: str = "1GB", spill: Path | None = None, threads: int | None = None) -> None:
        import ibis

        self._backend: Backend = ibis.duckdb.connect()
        self._names = (f"_dp_{number}" for number in itertools.count(1))
        settings = {"TimeZone": "UTC", "memory_limit": memory_limit, "preserve_insertion_order": True}
        settings["enable_progress_bar"] = False  # DuckDB draws it on standard output, terminal or not
        # two connections that spill into one folder read each other's blocks and crash: each has its own
        self._spill = None if spill is None else TemporaryDirectory(dir=spill, ignore_cleanup_errors=True)
        if self._spill is not None:
            settings["temp_directory"] = self._spill.name
        if threads is not None:
            settings["threads"] = threads
        for name, value in settings.items():
            self.connection.execute(f"SET {name} = ?", [value])
        for macro in MACROS:
            self.connection.execute(macro)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._backend.disconnect()
        if self._spill is not None:
            self._spill.cleanup()

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The raw connection, for what Ibis cannot say."""
        connection: duckdb.DuckDBPyConnection = self._backend.con
        return connection

    def open(
        self, opened: Opened, partitions: Collection[str] | None = None, columns: Sequence[str] = ()
    ) -> ibis.Table:
        return self._view(relation_sql(self.connection, opened, partitions, columns, next(self._names)))

    def from_arrow(self, data: pa.Table) -> ibis.Table:
        name = next(self._names)
        self.connection.register(name, data)
        return self._backend.table(name)

    def _view(self, sql: str) -> ibis.Table:
        name = next(self._names)
        self.connection.execute(f"CREATE TEMP VIEW {name} AS {sql}")
        return self._backend.table(name)

    def stage(self, candidate: ibis.Table, contract: Contract) -> Staged:
        import duckdb

        sql = self._backend.compile(candidate)
        delivered = self._delivered(sql)
        names_must_equal(delivered, contract)
        target = next(self._names)
        selected = [f"CAST({quote(c.name)} AS {c.type.duckdb}) AS {quote(c.name)}" for c in contract.columns]
        if ROW_ERRORS in delivered:
            selected.append(f"CAST({ROW_ERRORS} AS VARCHAR[]) AS {ROW_ERRORS}")
        doubtful = [
            c
            for c in contract.columns
            if contract.rounding == "exact" and _may_change(delivered, c.name, c.type.duckdb)
        ]
        selected += [
            f"CAST({quote(c.name)} AS {c.type.duckdb}) IS DISTINCT FROM {quote(c.name)} AS {quote('_cast_' + c.name)}"
            for c in doubtful
        ]
        try:
            self.connection.execute(f"CREATE TEMP TABLE {target} AS SELECT {', '.join(selected)} FROM ({sql})")
        except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
            raise UnfitValueError(
                f"{contract.full_name}: a value does not fit its column's type: {str(error).splitlines()[0]}; "
                "widen the type in the contract or quarantine such rows in the function"
            ) from error
        rounded = self._count_true(target, ["_cast_" + c.name for c in doubtful])
        table = self._backend.table(target)
        return Staged(
            table.drop(*rounded) if rounded else table, {n.removeprefix("_cast_"): k for n, k in rounded.items()}
        )

    def _delivered(self, sql: str) -> dict[str, str]:
        rows = self.connection.execute(f"DESCRIBE {sql}").fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def _count_true(self, table: str, columns: Sequence[str]) -> dict[str, int]:
        if not columns:
            return {}
        counts = ", ".join(f"count_if({quote(column)})" for column in columns)
        row = self.connection.execute(f"SELECT {counts} FROM {table}").fetchone() or ()
        return dict(zip(columns, row, strict=True))

    def batches(self, rows: ibis.Table, contract: Contract) -> pa.RecordBatchReader:
        columns = ", ".join(quote(name) for name in contract.column_names)
        reader = self.connection.sql(f"SELECT {columns} FROM ({self._backend.compile(rows)})").to_arrow_reader(100_000)
        expected = arrow_schema(contract)
        for field in expected:
            found = reader.schema.field(field.name).type
            if found != field.type:
                raise ShapeError(
                    f"{contract.full_name}.{field.name}: {field.type} was promised, {found} would be written"
                )
        return reader

    def fingerprints(self, rows: ibis.Table, contract: Contract) -> dict[str, tuple[int, str]]:
        group = contract.partition_column
        key = f"CAST({quote(group)} AS VARCHAR)" if group else f"'{WHOLE}'"
        hashed = ", ".join(quote(name) for name in contract.column_names)
        found = self.connection.execute(
            f"SELECT {key}, count(*), sum(hash({hashed})) % 18446744073709551616 "
            f"FROM ({self._backend.compile(rows)}) GROUP BY ALL"
        ).fetchall()
        return {str(name): (count, f"{count:x}-{int(total or 0):016x}") for name, count, total in found if count}


def relation_sql(
    connection: duckdb.DuckDBPyConnection,
    opened: Opened,
    partitions: Collection[str] | None,
    columns: Sequence[str],
    scratch_name: str,
) -> str:
    """A SELECT over a lake slice: contract columns in order, cast to their types, missing ones NULL.

    On a local disk the files are read directly (five times faster than through Arrow on 305 files), by name, so
    that files written before a column was added give NULLs. Elsewhere the Arrow dataset is registered.
    """
    contract = opened.table.contract
    chosen = [contract.column(name) for name in columns] if columns else list(contract.columns)
    files = opened.files_of(partitions)
    if not files:
        nothing = ", ".join(f"CAST(NULL AS {c.type.duckdb}) AS {quote(c.name)}" for c in chosen)
        return f"SELECT {nothing} WHERE false"
    scanned = _scan(connection, opened, [f.path for f in files], scratch_name)
    present = _columns_of(connection, opened, scanned)
    selected = ", ".join(
        f"CAST({quote(c.name) if c.name in present else 'NULL'} AS {c.type.duckdb}) AS {quote(c.name)}" for c in chosen
    )
    where = ""
    if partitions is not None and any(file.partition is None for file in files):
        where = f" WHERE {predicate(contract.partition_column or '', sorted(partitions))}"
    return f"SELECT {selected} FROM {scanned}{where}"


def _columns_of(connection: duckdb.DuckDBPyConnection, opened: Opened, scanned: str) -> set[str]:
    """The columns that the files of a slice have: the table's, unless some were written before a column was added.

    The engine is asked only where that may be, because the answer costs a look at every file.
    """
    contracts = {entry.contract for entry in opened.state.slices.values()}
    if len(contracts) == 1 and not opened.state.unknown and opened.handle is not None:
        return {field.name for field in opened.handle.schema().fields}
    return {str(row[0]) for row in connection.execute(f"DESCRIBE SELECT * FROM {scanned}").fetchall()}


def _scan(connection: duckdb.DuckDBPyConnection, opened: Opened, paths: Sequence[str], scratch_name: str) -> str:
    folder = opened.table.folder
    if "://" in opened.table.uri:
        connection.register(scratch_name, opened.dataset())
        return scratch_name
    listed = ", ".join("'" + str(folder / path).replace("'", "''") + "'" for path in paths)
    column = opened.table.contract.partition_column
    hive = f", hive_partitioning = true, hive_types = {{{quote(column)}: DATE}}" if column and "=" in paths[0] else ""
    return f"read_parquet([{listed}], union_by_name = true{hive or ', hive_partitioning = false'})"


def names_must_equal(delivered: Collection[str], contract: Contract) -> None:
    """Raises ShapeError unless the candidate has exactly the contract's columns (and perhaps `_row_errors`)."""
    found = set(delivered) - {ROW_ERRORS}
    missing = [name for name in contract.column_names if name not in found]
    unexpected = sorted(found - set(contract.column_names))
    if missing or unexpected:
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unexpected {', '.join(unexpected)}"] if unexpected else []
        raise ShapeError(f"{contract.full_name}: columns are not those of the contract: {'; '.join(parts)}")


def _may_change(delivered: dict[str, str], column: str, target: str) -> bool:
    found = delivered[column].upper().replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
    return found not in (target, "NULL", '"NULL"')
