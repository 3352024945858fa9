"""The sales report as a Dagster asset, made after the warehouse it reads.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's by value.
"""

from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.failing import STEP_RETRIES, failing_well
from dataplatform.assets.tracking import tracked_serving
from dataplatform.reports.sales import report_path, write_report
from dataplatform.warehouse.asset import WAREHOUSE_KEY

if TYPE_CHECKING:
    from dataplatform.project import Project

REPORT_KEY = dg.AssetKey(["serving", "sales_report"])


def build_report_asset(project: "Project") -> dg.AssetsDefinition:
    """The asset `serving/sales_report`."""

    @dg.asset(
        key=REPORT_KEY,
        deps=[WAREHOUSE_KEY],
        group_name="serving",
        description="One page of charts and tables, with the verdict on the data behind them; opens without a network.",
        kinds={"html"},
        retry_policy=STEP_RETRIES,
        metadata={"path": dg.MetadataValue.path(str(report_path(project)))},
    )
    def sales_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with (
            failing_well(),
            tracked_serving(project, context.run.run_id, REPORT_KEY.path[-1]) as run,
            run.phase("publish"),
        ):
            path = write_report(project)
            run.status, run.bytes_written = "published", path.stat().st_size
        return dg.MaterializeResult(
            metadata={"report": dg.MetadataValue.url(path.as_uri()), "size_bytes": path.stat().st_size}
        )

    return sales_report
