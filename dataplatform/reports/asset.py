"""The sales report as a Dagster asset, made after the warehouse it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.errors import PlatformError, TransientError
from dataplatform.reports.sales import report_path, write_report
from dataplatform.warehouse.asset import WAREHOUSE_KEY

if TYPE_CHECKING:
    from dataplatform.project import Project

REPORT_KEY = dg.AssetKey(["serving", "sales_report"])


def build_report_asset(project: Project) -> dg.AssetsDefinition:
    """The asset `serving/sales_report`."""

    @dg.asset(
        key=REPORT_KEY,
        deps=[WAREHOUSE_KEY],
        group_name="serving",
        description="One page of charts and tables, with the verdict on the data behind them; opens without a network.",
        kinds={"html"},
        metadata={"path": dg.MetadataValue.path(str(report_path(project)))},
    )
    def sales_report() -> dg.MaterializeResult[None]:
        try:
            path = write_report(project)
        except PlatformError as error:
            raise dg.Failure(description=str(error), allow_retries=isinstance(error, TransientError)) from error
        return dg.MaterializeResult(
            metadata={"report": dg.MetadataValue.url(path.as_uri()), "size_bytes": path.stat().st_size}
        )

    return sales_report
