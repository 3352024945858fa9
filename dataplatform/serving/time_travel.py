"""A table as it was: at a Delta version, or as a run left it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from dataplatform.engines.duckdb import relation_sql
from dataplatform.lake.table import Lake, LakeTable
from dataplatform.lake.versions import find_version, open_at

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.contracts.catalog import Catalog
    from dataplatform.lake.table import Opened
    from dataplatform.settings import Settings


def table_at(
    settings: Settings, catalog: Catalog, table: str, *, version: int | None = None, run: str | None = None
) -> pa.Table:
    """All rows of a table at `version`, or as `run` published it (now, when neither is given).

    Columns and types are those of the contract as it is now. Raises UnknownNameError, and PermanentError when there
    is no such version or the run published nothing there.
    """
    import duckdb

    wanted = run if version is None else str(version)
    opened = opener(wanted, settings.business_zone)(Lake(settings.lake_dir).table(catalog.get(table)))
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows: pa.Table = connection.sql(relation_sql(connection, opened, None, (), "_rows")).to_arrow_table()
    return rows


def opener(wanted: str | None, zone: str) -> Callable[[LakeTable], Opened]:
    """Opens tables as they were at `wanted`, as `find_version` reads it; as they are now when it is None."""

    def then(table: LakeTable) -> Opened:
        return open_at(table, find_version(table, str(wanted), zone))

    return LakeTable.open if wanted is None else then
