"""The one place that assembles the graph: every way in (UI, daemon, command line, tests) shares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.definition import TURN, build_assets, ignore_outcome
from dataplatform.assets.io_manager import lake_io_manager
from dataplatform.automation.alerts import build_alert_sensor
from dataplatform.automation.freshness import build_freshness_checks, build_freshness_sensors
from dataplatform.automation.maintenance import build_maintenance_job
from dataplatform.automation.schedules import build_close_jobs, build_schedules
from dataplatform.automation.sensors import build_sensors
from dataplatform.automation.switches import refuse_unknown_names
from dataplatform.automation.turn import turn
from dataplatform.operations.daily_checks import build_daily_checks_job
from dataplatform.operations.reconciliation import build_reconciliation_checks
from dataplatform.reports.asset import build_report_asset
from dataplatform.warehouse.asset import build_warehouse_asset
from dataplatform.warehouse.io_manager import WarehouseIOManager

if TYPE_CHECKING:
    from dataplatform.assets.definition import OnOutcome
    from dataplatform.project import Project


def build_definitions(project: Project, on_outcome: OnOutcome = ignore_outcome) -> dg.Definitions:
    """Assets of all tables, warehouse and report, sensors, schedules and resources of one project.

    Raises UnknownNameError when the settings switch off what is not there.
    """
    sensors = [*build_sensors(project), *build_freshness_sensors(project), build_alert_sensor(project)]
    schedules = build_schedules(project)
    refuse_unknown_names(project.settings, [*(each.name for each in sensors), *(each.name for each in schedules)])
    return dg.Definitions(
        assets=[*build_assets(project, on_outcome), build_warehouse_asset(project), build_report_asset(project)],
        asset_checks=[*build_freshness_checks(project), *build_reconciliation_checks(project)],
        jobs=[
            build_daily_checks_job(project),
            build_maintenance_job(project),
            *build_close_jobs(project, build_definitions),
        ],
        schedules=schedules,
        sensors=sensors,
        resources={
            "lake_io_manager": lake_io_manager(project),
            "warehouse_io_manager": WarehouseIOManager(project),
            TURN: turn(project),
        },
        executor=dg.in_process_executor,
    )
