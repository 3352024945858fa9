"""The lake as a query sees it: one view per table under `layer.table`, made only for what the statement mentions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Layer
from dataplatform.engines.duckdb import quote, relation_sql
from dataplatform.lake import journal
from dataplatform.lake.platform_tables import QUALITY, RESULTS, ROOMS, PlatformTables
from dataplatform.lake.table import Lake, LakeTable
from dataplatform.serving.reconciliation import FULL_NAME, reconciliation_sql

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from dataplatform.contracts.catalog import Catalog
    from dataplatform.lake.table import Opened

SCHEMAS = (*(layer.value for layer in Layer), *ROOMS)


class LakeViews:
    """The tables of one lake, by their full names; views of them on one connection."""

    def __init__(self, catalog: Catalog, root: Path, as_of: Callable[[LakeTable], Opened] = LakeTable.open) -> None:
        """`as_of` opens a contract's table, at its newest version unless told otherwise."""
        self._catalog, self._lake, self._as_of = catalog, Lake(root), as_of
        self._contracts = {contract.full_name: contract for contract in catalog}
        known = {name: root / name.replace(".", "/") for name in _known()}
        self._platform = {**known, **PlatformTables(root).readable()}

    @property
    def names(self) -> tuple[str, ...]:
        """`layer.table` of every table there is, published or not."""
        return (*self._contracts, *self._platform, FULL_NAME)

    def create(self, connection: duckdb.DuckDBPyConnection, words: frozenset[str] | None) -> None:
        """Creates the views of tables whose name is among `words` (all when None, or when no table's is)."""
        for schema in SCHEMAS:
            connection.execute(f"CREATE SCHEMA {quote(schema)}")
        # a table's own name is enough: it is the same in no two layers
        connection.execute(f"SET search_path = '{','.join(SCHEMAS)}'")
        mentioned = [name for name in self.names if words is None or name.partition(".")[2].lower() in words]
        for number, name in enumerate(mentioned or self.names):
            if name in self._contracts:
                opened = self._as_of(self._lake.table(self._contracts[name]))
                rows = relation_sql(connection, opened, None, (), f"_dp_{number}")
                connection.execute(f"CREATE VIEW {_quoted(name)} AS {rows}")
            elif name == FULL_NAME:
                rows = reconciliation_sql(connection, self._catalog, self._lake)
                connection.execute(f"CREATE VIEW {_quoted(name)} AS {rows}")
            else:
                _create_platform_view(connection, name, self._platform[name])

    def columns(self, connection: duckdb.DuckDBPyConnection) -> Iterable[str]:
        """The columns of the views that were created."""
        rows = connection.execute(
            "SELECT DISTINCT column_name FROM duckdb_columns() WHERE list_contains(?, schema_name)", [list(SCHEMAS)]
        )
        return [str(row[0]) for row in rows.fetchall()]


def _known() -> dict[str, Callable[[], pa.Schema]]:
    """The platform tables that are there before anything was written to them, with their columns."""
    from dataplatform.assets import source_schemas, tracking
    from dataplatform.quality.history import results_schema
    from dataplatform.quality.profiles import profiles_schema

    return {
        f"{QUALITY}.{RESULTS}": results_schema,
        f"{QUALITY}.column_profiles": profiles_schema,
        tracking.FULL_NAME: tracking.schema,
        source_schemas.FULL_NAME: source_schemas.schema,
    }


def _create_platform_view(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """A platform table: a view over its files, or a table of its own where rows wait to be committed."""
    import pyarrow as pa

    rows, known = journal.read(folder), _known().get(name)
    schemas = [known()] if known else []
    parts = []
    if rows.handle is not None:
        exported: Any = rows.handle.schema().to_arrow()
        schemas.append(pa.schema(exported))
        files = ", ".join("'" + uri.removeprefix("file://").replace("'", "''") + "'" for uri in rows.handle.file_uris())
        options = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false"
        parts = [f"SELECT * FROM read_parquet([{files}], {options})"] if files else []
    if rows.pending is not None:
        schemas.append(rows.pending.schema)
        connection.register("_pending", rows.pending)
        parts.append("SELECT * FROM _pending")
    columns = _columns(connection, pa.unify_schemas(schemas, promote_options="permissive"))
    kind = "VIEW" if rows.pending is None else "TABLE"  # what Arrow holds would show beside the lake's tables
    connection.execute(f"CREATE {kind} {_quoted(name)} AS {' UNION ALL BY NAME '.join([columns, *parts])}")
    connection.unregister("_pending")


def _columns(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> str:
    """A SELECT of no rows with the columns of an Arrow schema."""
    connection.register("_columns", schema.empty_table())
    described = connection.execute("DESCRIBE _columns").fetchall()
    connection.unregister("_columns")
    return f"SELECT {', '.join(f'CAST(NULL AS {row[1]}) AS {quote(row[0])}' for row in described)} WHERE false"


def _quoted(name: str) -> str:
    schema, _, table = name.partition(".")
    return f"{quote(schema)}.{quote(table)}"
