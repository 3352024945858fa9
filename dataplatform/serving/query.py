"""`dataplatform query`: one reading statement over the lake, on a connection that reaches nothing else.

The connection is in memory, sees views of lake tables, and is closed to every file outside the lake, to extensions
and to changes of its own settings before the statement runs. Answers are streamed, so that their size does not
matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from dataplatform.errors import PlatformError, UnknownNameError
from dataplatform.serving.statement import QueryError, asks_for_the_catalog, check_reading, first_line, mentions
from dataplatform.serving.time_travel import opener
from dataplatform.serving.views import LakeViews

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from dataplatform.contracts.catalog import Catalog
    from dataplatform.settings import Settings

BATCH_ROWS = 50_000
_NO_TABLE = re.compile(r'Table with name "?([^"\s]+)"? does not exist')
_NO_COLUMN = (
    re.compile(r'Referenced column "([^"]+)" not found'),
    re.compile(r'does not have a column named "([^"]+)"'),
    re.compile(r'Column "([^"]+)" in EXCLUDE list not found'),
)
_CLOSED = "queries read the lake's tables and nothing else: no other files, databases, networks or extensions"


@dataclass
class Answer:
    """The rows of a query, as they come: `schema` at once, `batches` once, and whether `limit` cut any off."""

    schema: pa.Schema
    _reader: pa.RecordBatchReader
    _views: LakeViews
    _connection: duckdb.DuckDBPyConnection
    limit: int | None = None
    rows: int = 0
    is_cut: bool = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Raises QueryError when a value cannot be computed."""
        import duckdb

        try:
            for batch in self._reader:
                left = batch.num_rows if self.limit is None else self.limit - self.rows
                self.is_cut = batch.num_rows > left
                self.rows += min(batch.num_rows, left)
                yield batch.slice(0, left)
                if self.is_cut:
                    return
        except duckdb.Error as error:
            raise _explained(error, self._views, self._connection) from error
        except OSError as error:  # how Arrow passes on what DuckDB met while streaming
            raise QueryError(f"the query failed: {first_line(error)}") from error


@contextmanager
def run_query(
    settings: Settings, catalog: Catalog, sql: str, *, limit: int | None = None, as_of: str | None = None
) -> Iterator[Answer]:
    """Answers one reading statement; `limit` cuts the answer off after so many rows (None: never).

    Tables are `layer.table`, `quarantine.table`, `quality.*` and `operations.*`; those never published are there and
    empty. `as_of` (a version, a run, a time) reads every contract's table as it was then. Raises QueryError,
    UnknownNameError for a table or column that is not there, and PermanentError for a version that is not.
    """
    import duckdb

    with closing(duckdb.connect()) as connection:
        statement = check_reading(connection, sql)
        words = mentions(statement)
        views = LakeViews(catalog, settings.lake_dir, opener(as_of, settings.business_zone))
        views.create(connection, None if asks_for_the_catalog(words) else words)
        _close_off(connection, settings)
        try:
            reader = connection.execute(statement).to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise _explained(error, views, connection) from error
        yield Answer(reader.schema, reader, views, connection, limit)


def _close_off(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    options: dict[str, object] = {
        "TimeZone": "UTC",
        "enable_progress_bar": False,  # it would be drawn into the answer
        "memory_limit": settings.memory_limit,
        # made when it is needed, and of this connection alone: two in one folder read each other's blocks
        "temp_directory": str(settings.tmp_dir / f"query-{uuid4().hex}"),
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allowed_directories": [f"{settings.lake_dir}/"],
        "enable_external_access": False,
        "lock_configuration": True,
    }
    for name, value in options.items():
        connection.execute(f"SET {name} = ?", [value])


def _explained(error: duckdb.Error, views: LakeViews, connection: duckdb.DuckDBPyConnection) -> PlatformError:
    """DuckDB's error as one line that says what to do."""
    import duckdb

    text = str(error)
    table = _NO_TABLE.search(text)
    if table:
        name = table[1]
        if "/" in name or "'" in name:
            return QueryError(f"{name!r} is refused: {_CLOSED}")
        return UnknownNameError("table", name, views.names)
    if isinstance(error, duckdb.PermissionException) or "extension" in text:
        return QueryError(f"{first_line(error)}; {_CLOSED}")
    column = next((match for pattern in _NO_COLUMN if (match := pattern.search(text))), None)
    if column:
        return UnknownNameError("column", column[1], views.columns(connection))
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(f"{first_line(error)}; raise DATAPLATFORM_MEMORY_LIMIT or ask for less")
    return QueryError(first_line(error))
