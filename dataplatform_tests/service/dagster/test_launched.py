"""Runs that the UI and the sensor launch, each in a process of its own, on the same graph and instance."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from dataplatform.operations.instance import open_instance
from dataplatform.project import Project
from dataplatform_tests.service.dagster.ledger_week import DAYS, MONTH, left_to_do
from dataplatform_tests.service.dagster.served import Served, until
from dataplatform_tests.service.dagster.test_commands import events_tell, tables_hold

pytestmark = pytest.mark.xdist_group("ledger week")

BACKFILL = """mutation ($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
PROGRESS = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
    status error { message } runs(limit: 9) { status tags { key value } } } } }"""
SENSOR = {
    "repositoryLocationName": "dataplatform", "repositoryName": "__repository__", "sensorName": "keep_current"
}  # fmt: skip
START = """mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) {
    __typename ... on Sensor { sensorState { id } } } }"""
STOP = """mutation ($id: String!) { stopSensor(id: $id) { __typename } }"""
TICKS = """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
    sensorState { ticks(limit: 50) {
        status skipReason error { message } runs { status assetSelection { path } tags { key value } } } } } } }"""


def lose(project: Project, table: str) -> None:
    """A table's folder is gone, as after a restore without it; what read it is as it was."""
    contract = project.catalog.get(table)
    shutil.rmtree(project.settings.lake_dir / contract.layer / contract.name)
    assert {line.split()[0] for line in left_to_do(project)} >= {table}


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def all_is_well(project: Project) -> None:
    tables_hold(project, DAYS)
    with open_instance(project.settings) as instance:
        events_tell(project, instance)


def test_a_backfill_over_a_range_is_one_run_and_leaves_nothing_stale(served: Served) -> None:
    """Pain 11: a range costs one run, not one a day."""
    project = served.week.project()
    lose(project, "fact_sales")
    key = {"path": ["dimensional", "fact_sales"]}
    launched = served.ask(BACKFILL, backfill={"assetSelection": [key], "partitionNames": list(DAYS)})
    identity = launched["launchPartitionBackfill"]["backfillId"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = served.ask(PROGRESS, id=identity)["partitionBackfillOrError"]
        return None if found["status"] == "REQUESTED" else found

    backfill = until("the backfill's end", ended)
    assert (backfill["status"], backfill["error"]) == ("COMPLETED_SUCCESS", None)
    (run,) = backfill["runs"]
    tags = tags_of(run)
    assert {tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")} == {DAYS[0], DAYS[-1]}
    all_is_well(project)
    assert left_to_do(project) == ["sales_report"], "the same rows once more: only the verdicts on them are newer"


def test_the_sensor_requests_what_is_stale_until_nothing_is(served: Served) -> None:
    project = served.week.project()
    lose(project, "monthly_product_sales")
    state = served.ask(START, sensor=SENSOR)["startSensor"]["sensorState"]["id"]

    def idle() -> list[dict[str, Any]] | None:
        ticks: list[dict[str, Any]] = served.ask(TICKS, sensor=SENSOR)["sensorOrError"]["sensorState"]["ticks"]
        assert not [tick["error"] for tick in ticks if tick["error"]]
        return ticks if ticks and ticks[0]["skipReason"] == "nothing is stale" else None

    try:
        ticks = until("a tick that finds nothing to do", idle)
    finally:
        served.ask(STOP, id=state)
    monthly, serving = (run for tick in reversed(ticks) for run in tick["runs"])
    assert [monthly["status"], serving["status"]] == ["SUCCESS", "SUCCESS"]
    assert tags_of(monthly)["dagster/sensor_name"] == "keep_current"
    assert tags_of(monthly)["dagster/asset_partition_range_start"] == MONTH
    assert {key["path"][-1] for key in serving["assetSelection"]} == {"warehouse", "sales_report"}
    all_is_well(project)
    assert left_to_do(project) == []
