"""The lake as a query sees it: one view per table under `layer.table`, made only for what the statement mentions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Layer
from dataplatform.engines.duckdb import quote, relation_sql
from dataplatform.lake.platform_tables import ROOMS, PlatformTables
from dataplatform.lake.table import Lake

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from dataplatform.contracts.catalog import Catalog

SCHEMAS = (*(layer.value for layer in Layer), *ROOMS)


class LakeViews:
    """The tables of one lake, by their full names; views of them on one connection."""

    def __init__(self, catalog: Catalog, root: Path) -> None:
        self._lake = Lake(root)
        self._contracts = {contract.full_name: contract for contract in catalog}
        self._platform = PlatformTables(root).readable()

    @property
    def names(self) -> tuple[str, ...]:
        """`layer.table` of every table there is, published or not."""
        return (*self._contracts, *self._platform)

    def create(self, connection: duckdb.DuckDBPyConnection, words: frozenset[str] | None) -> None:
        """Creates the views of tables whose name is among `words` (all when None, or when no table's is)."""
        for schema in SCHEMAS:
            connection.execute(f"CREATE SCHEMA {quote(schema)}")
        # a table's own name is enough: it is the same in no two layers
        connection.execute(f"SET search_path = '{','.join(SCHEMAS)}'")
        mentioned = [name for name in self.names if words is None or name.partition(".")[2].lower() in words]
        for number, name in enumerate(mentioned or self.names):
            if name in self._contracts:
                opened = self._lake.table(self._contracts[name]).open()
                rows = relation_sql(connection, opened, None, (), f"_dp_{number}")
                connection.execute(f"CREATE VIEW {_quoted(name)} AS {rows}")
            else:
                _create_platform_view(connection, name, self._platform[name])

    def columns(self, connection: duckdb.DuckDBPyConnection) -> Iterable[str]:
        """The columns of the views that were created."""
        rows = connection.execute(
            "SELECT DISTINCT column_name FROM duckdb_columns() WHERE list_contains(?, schema_name)", [list(SCHEMAS)]
        )
        return [str(row[0]) for row in rows.fetchall()]


def _create_platform_view(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """A view over the files of a platform table; of one without rows, an empty table in its place."""
    from deltalake import DeltaTable

    handle = DeltaTable(str(folder))
    files = ", ".join("'" + uri.removeprefix("file://").replace("'", "''") + "'" for uri in handle.file_uris())
    if files:
        options = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false"
        connection.execute(f"CREATE VIEW {_quoted(name)} AS SELECT * FROM read_parquet([{files}], {options})")
        return
    connection.register("_empty", handle.to_pyarrow_dataset())
    connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM _empty")
    connection.unregister("_empty")


def _quoted(name: str) -> str:
    schema, _, table = name.partition(".")
    return f"{quote(schema)}.{quote(table)}"
