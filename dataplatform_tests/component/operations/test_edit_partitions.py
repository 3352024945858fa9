"""Emptying partitions on purpose."""

from __future__ import annotations

import dagster as dg
import pytest

from dataplatform.errors import PermanentError
from dataplatform.operations.edit_partitions import delete_plan, empty_slices
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests import shop

DAY = "2011-01-01"


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def test_a_plan_says_what_would_go_and_what_follows(project: Project) -> None:
    assert delete_plan(project, project.catalog.get("orders"), DAY) == (
        "cleaned.orders 2011-01-01 would be left without rows (2 rows now), until what it is made from changes; "
        "stale after that: dim_buyer, fact_orders, daily_orders"
    )


def test_one_commit_empties_the_partition_and_no_other(project: Project, instance: dg.DagsterInstance) -> None:
    """Pain 5: the rows of a partition are removed by a command."""
    orders = project.catalog.get("orders")
    before = project.lake.table(orders).open().version
    assert empty_slices(project, orders, [DAY], instance) == before + 1
    assert [row[0] for row in shop.rows(project, "orders", "order_id")] == ["3"]


def test_nothing_brings_the_rows_back_until_the_input_changes(project: Project, instance: dg.DagsterInstance) -> None:
    empty_slices(project, project.catalog.get("orders"), [DAY], instance)
    assert DAY not in make_plan(project, select=["orders"]).stale.get("orders", {})
    shop.deliver(project, DAY, [("9", "8", "FR", "1")])
    assert make_plan(project, select=["orders"]).stale["orders"][DAY].reason == f"raw_shop_orders changed: {DAY}"


def test_a_delivered_day_stays_empty_while_its_file_is_the_same(project: Project, instance: dg.DagsterInstance) -> None:
    folder = project.settings.landing_folder / "orders"
    folder.mkdir()
    (folder / "2011-01-05.csv").write_text("order_id,buyer_id,country,amount\n1,2,UK,3\n", encoding="utf-8")
    shop.settle(project, select=["raw_shop_orders"])
    raw = project.catalog.get("raw_shop_orders")
    assert len(shop.rows(project, "raw_shop_orders", "order_id")) == 8
    empty_slices(project, raw, ["2011-01-05"], instance)
    assert len(shop.rows(project, "raw_shop_orders", "order_id")) == 7
    assert "2011-01-05" not in make_plan(project).stale.get("raw_shop_orders", {})
    (folder / "2011-01-05.csv").write_text("order_id,buyer_id,country,amount\n1,2,UK,44\n", encoding="utf-8")
    assert make_plan(project).stale["raw_shop_orders"]["2011-01-05"].reason == "delivery changed"


def test_what_reads_it_is_stale_afterwards(project: Project, instance: dg.DagsterInstance) -> None:
    empty_slices(project, project.catalog.get("orders"), [DAY], instance)
    shop.settle(project, select=["dim_buyer", "fact_orders", "daily_orders"])
    assert len(shop.rows(project, "daily_orders")) == 1


def test_a_whole_table_can_be_emptied_by_the_name_of_its_one_slice(
    project: Project, instance: dg.DagsterInstance
) -> None:
    empty_slices(project, project.catalog.get("dim_buyer"), ["all"], instance)
    assert shop.rows(project, "dim_buyer") == []


def test_dagster_is_told_of_a_materialization_without_rows(project: Project, instance: dg.DagsterInstance) -> None:
    """Pain 5: the UI shows that the partition has no rows."""
    empty_slices(project, project.catalog.get("orders"), [DAY], instance)
    key = dg.AssetKey(["cleaned", "orders"])
    records = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[DAY]), limit=1).records
    assert records[0].asset_materialization is not None
    assert records[0].asset_materialization.metadata["dagster/partition_row_count"].value == 0


def test_what_was_never_published_cannot_be_emptied(project: Project, instance: dg.DagsterInstance) -> None:
    orders = project.catalog.get("orders")
    with pytest.raises(
        PermanentError, match=r"cleaned\.orders 2011-01-04 was never published; there is nothing to empty"
    ):
        empty_slices(project, orders, ["2011-01-04"], instance)


def test_a_contract_that_asks_for_a_rebuild_comes_first(project: Project, instance: dg.DagsterInstance) -> None:
    contract = project.settings.tables_dir / "aggregate" / "daily_orders.yaml"
    text = contract.read_text(encoding="utf-8").replace("BIGINT", "INTEGER")
    contract.write_text(text, encoding="utf-8")
    changed = shop.reload(project)
    with pytest.raises(PermanentError, match="run `dataplatform rebuild daily_orders --yes`"):
        empty_slices(changed, changed.catalog.get("daily_orders"), [DAY], instance)
