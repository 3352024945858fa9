"""The warehouse as a Dagster asset: refreshed after the tables it serves, checked against the lake before the swap.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's by value.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.assets.failing import STEP_RETRIES, failing_well
from dataplatform.assets.tracking import StepRun, tracked_serving
from dataplatform.warehouse.contents import SERVED_LAYERS
from dataplatform.warehouse.store import Refresh, Warehouse

if TYPE_CHECKING:
    from dataplatform.project import Project

WAREHOUSE_KEY = dg.AssetKey(["serving", "warehouse"])
ROW_COUNTS = "row_counts"


def build_warehouse_asset(project: "Project") -> dg.AssetsDefinition:
    """The asset `serving/warehouse`, downstream of every dimensional and aggregate table."""

    @dg.asset(
        key=WAREHOUSE_KEY,
        deps=[asset_key(contract) for contract in project.catalog if contract.layer in SERVED_LAYERS],
        group_name="serving",
        description="The DuckDB database that people query: all dimensional and aggregate tables, typed and commented.",
        kinds={"duckdb"},
        retry_policy=STEP_RETRIES,
        metadata={"path": dg.MetadataValue.path(str(Warehouse(project).path))},
        check_specs=[
            dg.AssetCheckSpec(
                ROW_COUNTS, asset=WAREHOUSE_KEY, description="Every table has as many rows as in the lake."
            )
        ],
    )
    def warehouse(context: dg.AssetExecutionContext) -> Iterator[Any]:
        with failing_well(), tracked_serving(project, context.run.run_id, WAREHOUSE_KEY.path[-1]) as run:
            refresh = Warehouse(project).refresh()
            _track(run, refresh)
        yield _row_counts(refresh)
        yield dg.MaterializeResult(metadata=_metadata(refresh))

    return warehouse


def _track(run: StepRun, refresh: Refresh) -> None:
    run.status = "unchanged" if refresh.kind == "unchanged" else "published"
    run.rows_in = run.rows_made = run.rows_published = refresh.rows
    run.bytes_written = 0 if refresh.kind == "unchanged" else refresh.file.stat().st_size
    run.seconds["publish"] = refresh.seconds


def _row_counts(refresh: Refresh) -> dg.AssetCheckResult:
    """The counts as they were compared: a refresh that finds others throws its file away and fails."""
    lines = ["| table | rows | in the lake |", "| --- | ---: | ---: |"]
    lines += [f"| {table.table} | {table.total_rows:,} | {table.lake_rows:,} |" for table in refresh.tables]
    return dg.AssetCheckResult(
        check_name=ROW_COUNTS,
        asset_key=WAREHOUSE_KEY,
        passed=all(table.total_rows == table.lake_rows for table in refresh.tables),
        metadata={"tables": dg.MetadataValue.md("\n".join(lines))},
    )


def _metadata(refresh: Refresh) -> dict[str, Any]:
    return {
        "refresh": refresh.kind,
        "tables": len(refresh.tables),
        "dagster/row_count": sum(table.total_rows for table in refresh.tables),
        "rows_loaded": refresh.rows,
        "slices_replaced": refresh.slices,
        "file": dg.MetadataValue.path(str(refresh.file)),
        "size_bytes": refresh.file.stat().st_size,
        "seconds": round(refresh.seconds, 3),
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in refresh.reasons) or "nothing had changed"),
    }
