"""The example shop in Dagster: files that arrive, runs over a range of days, and what their events say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.build import build_definitions
from dataplatform.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def drop(project: Project, day: str, *orders: str) -> None:
    """Puts one day's file where deliveries arrive: lines of order, buyer, country and amount."""
    folder = project.settings.landing_folder / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{day}.csv").write_text("\n".join(["order_id,buyer_id,country,amount", *orders, ""]), encoding="utf-8")


def materialize(
    project: Project,
    instance: dg.DagsterInstance,
    tables: str,
    days: tuple[str, str],
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """One run of `tables` (names, with spaces between) over a range of days, as every way in launches it."""
    job = build_definitions(project).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        run_config=QUIET,
        instance=instance,
        asset_selection=[asset_key(project.catalog.get(table)) for table in tables.split()],
        tags={RANGE_START: days[0], RANGE_END: days[1], **(tags or {})},
        raise_on_error=False,
    )


def materialized(
    result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance, table: str
) -> dict[str | None, dict[str, Any]]:
    """Partition -> metadata values of what a run has made of a table, as the instance keeps it."""
    events = [entry.asset_materialization for entry in instance.all_logs(result.run_id)]
    return {
        event.partition: {name: value.value for name, value in event.metadata.items()}
        for event in events
        if event is not None and event.asset_key.path[-1] == table
    }


def failure(result: dg.ExecuteInProcessResult, table: str) -> str:
    """Why a table's step failed."""
    for event in result.all_events:
        if event.is_step_failure and str(event.step_key).endswith(f"__{table}"):
            found = event.step_failure_data.user_failure_data
            return str(found.description if found else event.step_failure_data.error)
    raise AssertionError(f"{table} did not fail")


def checks(result: dg.ExecuteInProcessResult, table: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Check name -> evaluation, of one table."""
    return {
        check.check_name: check for check in result.get_asset_check_evaluations() if check.asset_key.path[-1] == table
    }
