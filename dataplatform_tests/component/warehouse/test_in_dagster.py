"""The warehouse as an asset that is checked, and its tables as inputs of other assets."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from dataplatform.warehouse import loading
from dataplatform.warehouse.asset import WAREHOUSE_KEY, build_warehouse_asset
from dataplatform.warehouse.io_manager import WarehouseIOManager
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.published import DAYS, PublishedLake

SALES, CUSTOMERS = dg.AssetKey(["dimensional", "fact_sales"]), dg.AssetKey(["dimensional", "dim_customer"])
BY_DAY = dg.DailyPartitionsDefinition("2011-01-01", "2011-01-11")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def read(
    lake: PublishedLake, asset: dg.AssetsDefinition, partition: str | None = None, key: dg.AssetKey = SALES
) -> dg.ExecuteInProcessResult:
    source = dg.AssetSpec(key, partitions_def=BY_DAY if key == SALES else None)
    return dg.materialize(
        [asset, source],
        resources={"warehouse_io_manager": WarehouseIOManager(lake.project), "io_manager": dg.mem_io_manager},
        partition_key=partition,
        raise_on_error=False,
    )


def why(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    return str(failure.step_failure_data.error)


def test_the_asset_refreshes_and_tells_what_it_did(lake: PublishedLake, instance: dg.DagsterInstance) -> None:
    asset = build_warehouse_asset(lake.project)
    result = dg.materialize([asset], instance=instance)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("row_counts", True)
    assert "| dimensional.fact_sales | 10 | 10 |" in str(check.metadata["tables"].value)
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    size = Warehouse(lake.project).path.stat().st_size
    expected = {"refresh": "whole", "tables": 3, "rows_loaded": 17, "slices_replaced": 11, "size_bytes": size}
    assert expected.items() <= metadata.items()
    assert metadata["dagster/row_count"] == 17


def test_the_asset_comes_after_every_table_it_serves(lake: PublishedLake) -> None:
    asset = build_warehouse_asset(lake.project)
    served = {SALES, CUSTOMERS, dg.AssetKey(["aggregate", "daily_sales"])}
    assert asset.asset_deps[WAREHOUSE_KEY] == served
    assert asset.group_names_by_key[WAREHOUSE_KEY] == "serving"


def test_other_rows_than_the_lakes_fail_the_asset_and_nothing_is_swapped(
    lake: PublishedLake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = loading._load

    def lose_a_row(connection: Any, change: Any, *, enforced: bool) -> int:
        rows = load(connection, change, enforced=enforced)
        connection.execute("DELETE FROM dimensional.dim_customer WHERE customer_key = 1")
        return rows

    monkeypatch.setattr(loading, "_load", lose_a_row)
    result = dg.materialize([build_warehouse_asset(lake.project)], instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    described = failure.step_failure_data.user_failure_data
    assert described is not None
    assert "dimensional.dim_customer: 1 rows, 2 in the lake" in str(described.description)
    assert not Warehouse(lake.project).path.exists()


def test_an_asset_reads_a_table_as_a_pandas_frame(lake: PublishedLake, warehouse: Warehouse) -> None:
    @dg.asset(ins={"customers": dg.AssetIn(CUSTOMERS, input_manager_key="warehouse_io_manager")})
    def report(customers: pd.DataFrame) -> int:
        assert list(customers.columns) == ["customer_key", "customer_id", "country"]
        return len(customers)

    assert read(lake, report, key=CUSTOMERS).output_for_node("report") == 2


def test_an_input_without_a_type_is_a_pandas_frame(lake: PublishedLake, warehouse: Warehouse) -> None:
    @dg.asset(ins={"customers": dg.AssetIn(CUSTOMERS, input_manager_key="warehouse_io_manager")})
    def report(customers) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - what happens without one is the point
        return type(customers).__name__

    assert read(lake, report, key=CUSTOMERS).output_for_node("report") == "DataFrame"


def test_an_asset_reads_a_table_as_arrow_and_chooses_its_columns(lake: PublishedLake, warehouse: Warehouse) -> None:
    given = dg.AssetIn(CUSTOMERS, input_manager_key="warehouse_io_manager", metadata={"columns": ["country"]})

    @dg.asset(ins={"customers": given})
    def report(customers: pa.Table) -> list[object]:
        return sorted(customers.to_pylist(), key=str)

    expected = [{"country": "EIRE"}, {"country": "United Kingdom"}]
    assert read(lake, report, key=CUSTOMERS).output_for_node("report") == expected


def test_a_partitioned_asset_reads_its_own_partition(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.sales([DAYS[1]], "7.250", lines=3)
    warehouse.refresh()

    @dg.asset(ins={"sales": dg.AssetIn(SALES, input_manager_key="warehouse_io_manager")}, partitions_def=BY_DAY)
    def report(sales: pd.DataFrame) -> tuple[int, Decimal]:
        return len(sales), Decimal(str(sales["net_amount"].max()))

    assert read(lake, report, DAYS[1]).output_for_node("report") == (3, Decimal("7.25"))
    assert read(lake, report, DAYS[0]).output_for_node("report") == (2, Decimal("1.5"))


def test_storing_a_frame_in_the_warehouse_is_refused(lake: PublishedLake, warehouse: Warehouse) -> None:
    @dg.asset(key=["aggregate", "mine"], io_manager_key="warehouse_io_manager")
    def mine() -> pd.DataFrame:
        return pd.DataFrame({"a": [1]})

    message = why(read(lake, mine))
    assert "aggregate/mine: the warehouse is made from the lake alone and takes no DataFrame" in message
    assert "io_manager_key='lake_io_manager'" in message


def test_a_table_that_is_not_served_is_refused_by_name(lake: PublishedLake, warehouse: Warehouse) -> None:
    raw = dg.AssetKey(["raw", "raw_sales"])

    @dg.asset(ins={"lines": dg.AssetIn(raw, input_manager_key="warehouse_io_manager")})
    def report(lines: pd.DataFrame) -> int:
        return len(lines)

    assert "no warehouse table called 'raw/raw_sales'" in why(read(lake, report, key=raw))


def test_a_type_that_cannot_be_given_is_refused(lake: PublishedLake, warehouse: Warehouse) -> None:
    @dg.asset(ins={"customers": dg.AssetIn(CUSTOMERS, input_manager_key="warehouse_io_manager")})
    def report(customers: int) -> int:
        return customers

    message = why(read(lake, report, key=CUSTOMERS))
    assert "dimensional.dim_customer cannot be read from the warehouse as builtins.int" in message
