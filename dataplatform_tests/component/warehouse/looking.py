"""Looking into a warehouse file, as any reader would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dataplatform.warehouse.store import Warehouse

TABLES = ("dimensional.dim_customer", "dimensional.fact_sales", "aggregate.daily_sales")


def ask(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    with closing(warehouse.connect()) as connection:
        return connection.execute(sql).fetchall()


def content(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, and what the file says is loaded (not when, or by which of several equal runs)."""
    found = {table: ask(warehouse, f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}
    found["slices"] = ask(
        warehouse, "SELECT table_name, partition, revision, row_count FROM platform.loaded_slices ORDER BY ALL"
    )
    found["tables"] = ask(warehouse, "SELECT table_name, definition FROM platform.loaded_tables ORDER BY ALL")
    return found


def total(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("SELECT count(*) FROM dimensional.fact_sales").fetchone()
    assert row is not None
    return int(row[0])


_READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(connection.execute(line).fetchone()[0], flush=True)
"""


class Reader:
    """Another process that has the warehouse open and answers with the first value of each query."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-c", _READER, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, sql: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(sql + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def reader(path: Path) -> Iterator[Reader]:
    made = Reader(path)
    try:
        yield made
    finally:
        made.close()
