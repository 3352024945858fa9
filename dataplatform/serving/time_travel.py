"""A table as it was: at a Delta version, or as a run left it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from dataplatform.engines.duckdb import relation_sql
from dataplatform.errors import PermanentError
from dataplatform.lake.table import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.contracts.catalog import Catalog
    from dataplatform.settings import Settings


def table_at(
    settings: Settings, catalog: Catalog, table: str, *, version: int | None = None, run: str | None = None
) -> pa.Table:
    """All rows of a table at `version`, or as `run` published it (now, when neither is given).

    Columns and types are those of the contract as it is now. Raises UnknownNameError, and PermanentError when there
    is no such version or the run published nothing there.
    """
    import duckdb
    from deltalake.exceptions import DeltaError

    lake_table = Lake(settings.lake_dir).table(catalog.get(table))
    name = lake_table.contract.full_name
    if run is not None:
        version = lake_table.version_of_run(run)
    try:
        opened = lake_table.open(version)
    except DeltaError as error:
        newest = lake_table.open().version
        raise PermanentError(f"{name} has no version {version}; its newest is {newest}") from error
    if version is not None and opened.handle is None:
        raise PermanentError(f"{name} has never been published; it has no version {version}")
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows: pa.Table = connection.sql(relation_sql(connection, opened, None, (), "_rows")).to_arrow_table()
    return rows
