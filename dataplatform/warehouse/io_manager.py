"""Reading warehouse tables into Dagster assets, as frames; what an asset returns belongs in the lake.

`dg.AssetIn(key, input_manager_key="warehouse_io_manager")` gives a table as a pandas.DataFrame, through Dagster's
own type handler, or as a pyarrow.Table when the parameter is annotated so.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.contracts.model import Contract
from dataplatform.errors import PermanentError, UnknownNameError
from dataplatform.warehouse.contents import SERVED_LAYERS
from dataplatform.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dagster._core.storage.db_io_manager import TableSlice

    from dataplatform.project import Project


class WarehouseIOManager(dg.IOManager):
    """Loads dimensional and aggregate tables from the current warehouse file; refuses to store anything."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def handle_output(self, context: dg.OutputContext, obj: object) -> NoReturn:
        raise PermanentError(
            f"{context.asset_key.to_user_string()}: the warehouse is made from the lake alone and takes no "
            f"{type(obj).__name__}; give the table a contract and let the asset use io_manager_key='lake_io_manager'"
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """The table, or the partitions that are mapped to the asset. Raises PermanentError for any other type."""
        wanted = context.dagster_type.typing_type
        name = "pandas.DataFrame" if wanted is Any else f"{wanted.__module__}.{wanted.__qualname__}"
        table = self._slice(context)
        with closing(Warehouse(self._project).connect()) as connection:
            if name.startswith("pandas.") and name.endswith(".DataFrame"):
                from dagster_duckdb_pandas import DuckDBPandasTypeHandler

                return DuckDBPandasTypeHandler().load_input(context, table, connection)
            if name == "pyarrow.lib.Table":
                from dagster_duckdb.io_manager import DuckDbClient

                return connection.sql(DuckDbClient.get_select_statement(table)).to_arrow_table()
        raise PermanentError(
            f"{table.schema}.{table.table} cannot be read from the warehouse as {name}; annotate the parameter as "
            "pandas.DataFrame or pyarrow.Table; the lake's own input manager ('lake_io_manager') also gives ibis.Table"
        )

    def _slice(self, context: dg.InputContext) -> TableSlice:
        """What Dagster's type handler asks for. `columns` in the input's metadata chooses columns."""
        from dagster._core.storage.db_io_manager import TablePartitionDimension, TableSlice

        contract = self._contract(context.asset_key)
        dimensions = []
        if context.has_asset_partitions and contract.partition_column is not None:
            dimensions.append(TablePartitionDimension(contract.partition_column, list(context.asset_partition_keys)))
        columns = (context.definition_metadata or {}).get("columns")
        return TableSlice(contract.name, contract.layer.value, None, columns, dimensions)

    def _contract(self, key: dg.AssetKey) -> Contract:
        served = {asset_key(c): c for c in self._project.catalog if c.layer in SERVED_LAYERS}
        if key not in served:
            raise UnknownNameError(
                "warehouse table", key.to_user_string(), (known.to_user_string() for known in served)
            )
        return served[key]
