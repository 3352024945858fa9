"""The graph that people see in Dagster follows from the contracts: every table an asset, every window a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets.definition import PARTITIONING_TAG, build_assets
from dataplatform.build import build_definitions
from dataplatform.contracts.model import Contract, Grain, RuleKind
from dataplatform.operations.reconciliation import RECONCILIATION
from dataplatform.planner.freshness import FRESHNESS_CHECK
from dataplatform.project import Project
from dataplatform.reports.asset import REPORT_KEY
from dataplatform.serving.reconciliation import steps
from dataplatform.settings import Settings
from dataplatform.warehouse.asset import WAREHOUSE_KEY
from dataplatform_tests.factory import TableFactory
from dataplatform_tests.shop import load, shop_tables

BY_DAY = {"business_date": "DATE partitioned key", "total_amount": "DECIMAL(18,3)"}
WRITTEN = {"daily_sales": "duckdb", "daily_country_sales": "sql", "monthly_customer_cohorts": "pandas"}
PER_GRAIN: dict[Grain, Any] = {Grain.DAY: dg.DailyPartitionsDefinition, Grain.MONTH: dg.MonthlyPartitionsDefinition}


def key(contract: Contract) -> dg.AssetKey:
    return dg.AssetKey([contract.layer.value, contract.name])


@pytest.fixture(scope="module")
def shipped() -> Project:
    return Project.load(Settings.load())


@pytest.fixture(scope="module")
def graph(shipped: Project) -> Any:
    return build_definitions(shipped).resolve_asset_graph()


def test_every_contract_is_an_asset_and_only_the_serving_layer_stands_beside_them(shipped: Project, graph: Any) -> None:
    assert set(graph.materializable_asset_keys) == {*map(key, shipped.catalog), WAREHOUSE_KEY, REPORT_KEY}


def test_assets_are_grouped_by_layer_and_carry_what_the_contract_says(shipped: Project, graph: Any) -> None:
    for contract in shipped.catalog:
        node = graph.get(key(contract))
        assert node.group_name == contract.layer.value
        assert node.description == contract.description
        assert list(node.owners) == [contract.owner]
        assert node.tags[PARTITIONING_TAG] == contract.grain.value
        assert {f"dataplatform/{tag}" for tag in contract.tags} <= set(node.tags)
        assert node.code_version == shipped.version_of(contract)
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
    assert {graph.get(name).group_name for name in (WAREHOUSE_KEY, REPORT_KEY)} == {"serving"}


def test_an_asset_says_how_its_table_is_written(graph: Any) -> None:
    written = {table: graph.get(dg.AssetKey(["aggregate", table])).kinds for table in WRITTEN}
    assert written == {table: {"delta", kind} for table, kind in WRITTEN.items()}


def test_assets_depend_on_what_their_contracts_read_and_refer_to(shipped: Project, graph: Any) -> None:
    for contract in shipped.catalog:
        read = {wanted.table for wanted in contract.inputs} | contract.references
        assert graph.get(key(contract)).parent_keys == {key(shipped.catalog.get(table)) for table in read}


def test_partitions_are_the_days_and_months_of_the_platform(shipped: Project, graph: Any) -> None:
    for contract in shipped.catalog:
        partitions: Any = graph.get(key(contract)).partitions_def
        if contract.grain is Grain.NONE:
            assert partitions is None
        else:
            assert isinstance(partitions, PER_GRAIN[contract.grain])
            assert list(partitions.get_partition_keys()) == list(shipped.keys(contract))
            assert partitions.timezone == shipped.settings.business_zone


def test_without_an_end_date_partitions_follow_today(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path, end_date="")
    [day] = {a.partitions_def for a in build_assets(shop) if a.partitions_def is not None}
    assert isinstance(day, dg.DailyPartitionsDefinition)
    assert (day.end, day.end_offset) == (None, 1), "today's file is read today, so today is a partition"


def test_there_is_one_check_per_kind_of_rule(shipped: Project, graph: Any) -> None:
    reconciled = {step.contract.name for step in steps(shipped.catalog)}
    for contract in shipped.catalog:
        checks = {check.name for check in graph.get(key(contract)).check_keys}
        assert (FRESHNESS_CHECK in checks) == (contract.latency is not None)
        assert (RECONCILIATION in checks) == (contract.name in reconciled)
        checks -= {FRESHNESS_CHECK, RECONCILIATION}
        assert {rule.kind.value for rule in contract.rules} <= checks
        assert checks <= {kind.value for kind in RuleKind}
        assert ("delivery" in checks) == (contract.source is not None and contract.source["kind"] == "landing")
        assert ("rows" in checks) or contract.layer not in {"raw", "cleaned"}


def test_a_checks_description_says_when_it_is_judged(shipped: Project) -> None:
    for asset in build_assets(shipped):
        for check in asset.check_specs:
            assert str(check.description).endswith(
                "Judged before anything is published; an error leaves the old rows in place."
            )


# windows


def upstream(project: Project, table: str, of: str, partition: str) -> list[str]:
    """The partitions of `of` that Dagster holds partition `partition` of `table` to depend on."""
    contract, source = project.catalog.get(table), project.catalog.get(of)
    assets = {asset.key: asset for asset in build_assets(project)}
    mapping = assets[key(contract)].get_partition_mapping(key(source))
    below, above = assets[key(source)].partitions_def, assets[key(contract)].partitions_def
    assert mapping is not None
    assert below is not None
    assert above is not None
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        above.subset_with_partition_keys([partition]), above, below
    )
    assert not list(found.required_but_nonexistent_subset.get_partition_keys())
    return sorted(found.partitions_subset.get_partition_keys())


def days(first: int, last: int) -> list[str]:
    return [f"2011-01-{day:02d}" for day in range(first, last + 1)]


@pytest.mark.parametrize(
    ("window", "read"),
    [
        ("same", days(5, 5)),
        ("previous", days(4, 4)),
        ({"back": 2, "ahead": 1}, days(3, 6)),
        ({"back": 9, "ahead": 9}, days(1, 10)),
        ("all", days(1, 10)),
        ("before", days(1, 10)),
    ],
)
def test_a_window_is_a_mapping(tmp_path: Path, window: str | dict[str, int], read: list[str]) -> None:
    shop_tables(tmp_path).add(
        "aggregate", "daily_trend", BY_DAY, partitioning="day",
        inputs=[{"parameter": "daily_orders", "table": "daily_orders", "window": window}],
        function="def daily_trend(daily_orders):\n    return daily_orders.select('business_date', 'total_amount')",
    )  # fmt: skip
    assert upstream(load(tmp_path), "daily_trend", "daily_orders", "2011-01-05") == read


def test_two_windows_on_one_table_are_one_mapping_that_covers_both(tmp_path: Path) -> None:
    shop_tables(tmp_path).add(
        "aggregate", "daily_trend", BY_DAY, partitioning="day",
        inputs=["daily_orders", {"parameter": "earlier", "table": "daily_orders", "window": {"back": 3, "ahead": 0}}],
        function="def daily_trend(daily_orders, earlier):\n"
        "    return daily_orders.select('business_date', 'total_amount')",
    )  # fmt: skip
    assert upstream(load(tmp_path), "daily_trend", "daily_orders", "2011-01-05") == days(2, 5)


@pytest.mark.parametrize(("window", "read"), [("previous", days(4, 4)), ("before", days(1, 4))])
def test_a_table_may_read_its_own_past(tmp_path: Path, window: str, read: list[str]) -> None:
    shop_tables(tmp_path).add(
        "aggregate", "daily_balance", BY_DAY, partitioning="day",
        inputs=["daily_orders", {"table": "daily_balance", "window": window}],
        function="def daily_balance(daily_orders, daily_balance):\n"
        "    return daily_orders.select('business_date', 'total_amount')",
    )  # fmt: skip
    shop = load(tmp_path)
    assert upstream(shop, "daily_balance", "daily_balance", "2011-01-05") == read
    build_definitions(shop).get_repository_def().load_all_definitions()


def test_a_month_reads_its_days_also_when_the_platform_ends_in_its_middle(tmp_path: Path) -> None:
    monthly_orders(tmp_path)
    assert upstream(load(tmp_path), "monthly_orders", "daily_orders", "2011-01-01") == days(1, 10)


def test_a_day_reads_its_month(tmp_path: Path) -> None:
    monthly_orders(tmp_path).add(
        "aggregate", "daily_share", BY_DAY, partitioning="day", inputs=["daily_orders", "monthly_orders"],
        function="def daily_share(daily_orders, monthly_orders):\n"
        "    return daily_orders.select('business_date', 'total_amount')",
    )  # fmt: skip
    assert upstream(load(tmp_path), "daily_share", "monthly_orders", "2011-01-05") == ["2011-01-01"]


def monthly_orders(folder: Path) -> TableFactory:
    tables = shop_tables(folder)
    tables.add(
        "aggregate", "monthly_orders", BY_DAY, partitioning="month", inputs=["daily_orders"],
        function="def monthly_orders(daily_orders):\n"
        "    month = daily_orders.business_date.truncate('M')\n"
        "    return daily_orders.group_by(business_date=month).agg(total_amount=daily_orders.total_amount.sum())",
    )  # fmt: skip
    return tables


def test_a_table_without_partitions_needs_no_mapping(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path)
    assets = {asset.key: asset for asset in build_assets(shop)}
    fact, dimension = (key(shop.catalog.get(table)) for table in ("fact_orders", "dim_buyer"))
    assert assets[fact].get_partition_mapping(dimension) is None
    assert assets[dimension].partitions_def is None
