"""Runs in which much goes wrong at once: what can be made is made, and what cannot is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.assets.definition import OnOutcome, ignore_outcome
from dataplatform.build import build_definitions
from dataplatform.operations.run import run_stale
from dataplatform.project import Project
from dataplatform_tests.in_dagster import drop
from dataplatform_tests.shop import load, rows, shop_tables

D1, D2, D3, D4, D5 = (f"2011-01-0{day}" for day in range(1, 6))
TABLES = ("raw_shop_orders", "orders", "dim_buyer", "fact_orders", "daily_orders")
SMALL = {
    "id": "small",
    "type": "custom",
    "engine": "dataplatform",
    "severity": "error",
    "implementation": {"row": "order_amount < 100"},
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def test_good_days_are_made_though_every_table_before_has_a_bad_one(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shop_tables(tmp_path, fact_orders={"quality": [SMALL]})
    shop = load(tmp_path)
    drop(shop, D1)
    (shop.settings.landing_folder / "orders" / f"{D1}.csv").write_bytes(b"")
    drop(shop, D2, "2,7,UK,x")
    drop(shop, D3, "3,7,UK,500")
    drop(shop, D4, "4,7,UK,1")
    drop(shop, D5, "5,7,UK,1")
    summary = run_stale(shop, build_definitions, instance, select=TABLES)
    assert summary.exit_code == 1
    named = [line.split(":")[0] for line in summary.failed]
    assert named == [f"raw.raw_shop_orders {D1}", f"cleaned.orders {D2}", f"dimensional.fact_orders {D3}"]
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D4, D5]


def without_a_disk(project: Project, on_outcome: OnOutcome = ignore_outcome) -> dg.Definitions:
    """The definitions with an IO manager that cannot be made, so that no step of a run starts."""

    @dg.io_manager
    def broken(_: dg.InitResourceContext) -> dg.IOManager:
        raise RuntimeError("no such disk")

    whole = build_definitions(project, on_outcome)
    resources = {**(whole.resources or {}), "lake_io_manager": broken}
    return dg.Definitions(assets=whole.assets, resources=resources, executor=dg.in_process_executor)


def test_a_run_that_dagster_could_not_start_is_a_failure_that_names_the_run(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path)
    drop(shop, D1, "1,7,UK,1")
    summary = run_stale(shop, without_a_disk, instance, select=["raw_shop_orders", "orders"])
    assert summary.exit_code == 1
    assert rows(shop, "raw_shop_orders") == []
    (line,), (run,) = summary.failed, instance.get_runs()
    assert line.startswith(f"raw_shop_orders, orders {D1}: run {run.run_id} did not end well")
