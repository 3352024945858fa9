"""The warehouse: what is stale in it, bringing it up to date, and opening it to read.

A refresh copies the current file, replaces the changed slices in one transaction, compares every table's rows with
the lake's, and only then swaps the link: readers never wait and never see half. When most rows changed, or a
table's definition did, the file is made anew.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from dataplatform.errors import PermanentError
from dataplatform.warehouse.contents import (
    Change,
    Loaded,
    Served,
    compare,
    gone,
    read_served,
    refuse_changed_contracts,
)
from dataplatform.warehouse.files import WarehouseFiles
from dataplatform.warehouse.loading import BrokenConstraintError, OtherRowsError, TableLoad, fill

if TYPE_CHECKING:
    import duckdb

    from dataplatform.project import Project

WAIT_SECONDS = 600.0
"""How long a refresh waits for another one: even a whole rebuild takes less."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh did. `tables` holds every table of the warehouse, those that were left as they are too."""

    kind: Literal["unchanged", "incremental", "whole"]
    file: Path
    tables: tuple[TableLoad, ...]
    reasons: tuple[str, ...]
    seconds: float

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def slices(self) -> int:
        return sum(table.slices for table in self.tables)


class Warehouse:
    """The warehouse of one project, at `<data>/warehouse/warehouse.duckdb`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._files = WarehouseFiles(project.settings.warehouse_dir)

    @property
    def path(self) -> Path:
        """What people open, read-only: always the current file."""
        return self._files.link

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A read-only connection to the file that is current now; the caller closes it.

        It goes on showing that file after a refresh. Raises PermanentError when there is no warehouse yet.
        """
        import duckdb

        file = self._files.current()
        if file is None:
            raise PermanentError(f"there is no warehouse at {self.path} yet; `dataplatform run` makes it")
        connection = duckdb.connect(str(file), read_only=True)
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def loaded(self) -> Loaded:
        """What the current file says it holds: nothing when there is none, or it cannot be read."""
        import duckdb

        if self._files.current() is None:
            return Loaded()
        try:
            with closing(self.connect()) as connection:
                return Loaded.read(connection)
        except duckdb.Error:  # damaged, or not ours: it is made anew
            return Loaded()

    def stale(self) -> list[str]:
        """One reason per table that differs from the lake; empty when the warehouse is up to date."""
        served, loaded = self._served(), self.loaded()
        reasons = [change.reason for change in compare(served, loaded)]
        return reasons + [f"{name}: no longer a table" for name in gone(served, loaded)]

    def refresh(self, *, wait: float = WAIT_SECONDS) -> Refresh:
        """Brings the warehouse up to the lake as it is now; does nothing when it is.

        Raises PermanentError when a table waits for a rebuild or its rows are not the lake's, and TransientError
        when another refresh takes longer than `wait` seconds. In every case the link stays as it was.
        """
        started = time.perf_counter()
        with self._files.exclusive(wait):
            served, loaded, current = self._served(), self.loaded(), self._files.current()
            refuse_changed_contracts(served)
            changes, dropped = compare(served, loaded), gone(served, loaded)
            reasons = (*(change.reason for change in changes), *(f"{name}: no longer a table" for name in dropped))
            if current is not None and not reasons:
                tables = tuple(TableLoad(t.contract.full_name, 0, 0, t.lake_rows, t.lake_rows) for t in served)
                return Refresh("unchanged", current, tables, (), time.perf_counter() - started)
            whole = current is None or bool(dropped) or _mostly_new(served, changes)
            if whole:
                changes = compare(served, Loaded())
            try:
                tables = self._make(None if whole else current, served, changes)
            except OtherRowsError:
                if whole:
                    raise
                whole = True  # somebody changed the file by hand: it is no base for another
                tables = self._make(None, served, compare(served, Loaded()))
            made = self._files.current() or self.path
        return Refresh("whole" if whole else "incremental", made, tables, reasons, time.perf_counter() - started)

    def _served(self) -> list[Served]:
        import duckdb

        with closing(duckdb.connect()) as connection:
            return read_served(self._project, connection)

    @contextmanager
    def _writing(self, file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        settings = self._project.settings
        settings.tmp_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "TimeZone": "UTC",
            "enable_progress_bar": False,
            "memory_limit": settings.memory_limit,
            # rows stay in the lake's order, where neighbours are alike: half the size of rows as threads deliver them
            "preserve_insertion_order": True,
        }
        # a spill folder of its own: two connections in one read each other's blocks
        with TemporaryDirectory(dir=settings.tmp_dir) as spill, closing(duckdb.connect(str(file))) as connection:
            for name, value in {**options, "temp_directory": spill}.items():
                connection.execute(f"SET {name} = ?", [value])
            yield connection

    def _make(self, source: Path | None, served: Sequence[Served], changes: Sequence[Change]) -> tuple[TableLoad, ...]:
        """Makes the next file from `source` (None: from nothing) and swaps it in.

        What the lake has published is served. Where rows from before a contract became stricter break one of its
        constraints, the table goes without: the lake's rules report such rows, and keep new ones out.
        """
        unconstrained: set[str] = set()
        while True:
            try:
                return self._attempt(source, served, changes, unconstrained)
            except BrokenConstraintError as error:
                if error.table in unconstrained:
                    raise
                unconstrained.add(error.table)

    def _attempt(
        self, source: Path | None, served: Sequence[Served], changes: Sequence[Change], unconstrained: Collection[str]
    ) -> tuple[TableLoad, ...]:
        with self._files.successor(source) as file, self._writing(file) as connection:
            connection.execute("BEGIN")
            tables = fill(connection, served, changes, datetime.now(UTC), unconstrained)
            connection.execute("COMMIT")
            connection.execute("CHECKPOINT")
        return tables


def _mostly_new(served: Sequence[Served], changes: Sequence[Change]) -> bool:
    """Whether a new file is cheaper than a copy: most rows would be replaced, or a table is not what it was."""
    rows = sum(table.lake_rows for table in served)
    return any(change.is_new_definition for change in changes) or sum(change.rows for change in changes) * 2 > rows
