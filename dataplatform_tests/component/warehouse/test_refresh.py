"""The warehouse follows the lake slice by slice, and what it holds does not depend on how it got there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplatform.contracts.model import WHOLE
from dataplatform.errors import PermanentError
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.component.warehouse.looking import ask, content
from dataplatform_tests.published import DAYS, PublishedLake, Row, sale_rows


def made_anew(lake: PublishedLake) -> Warehouse:
    """The warehouse, made from nothing."""
    for file in lake.settings.warehouse_dir.iterdir():
        file.unlink()
    warehouse = Warehouse(lake.project)
    assert warehouse.refresh().kind == "whole"
    return warehouse


def test_a_first_refresh_holds_every_published_row(lake: PublishedLake) -> None:
    warehouse = Warehouse(lake.project)
    refresh = warehouse.refresh()
    assert refresh.kind == "whole"
    assert (refresh.rows, refresh.slices) == (2 + 10 + 5, 1 + 5 + 5)
    assert ask(warehouse, "SELECT sum(net_amount), count(*) FROM dimensional.fact_sales") == [(Decimal("15.000"), 10)]
    assert warehouse.stale() == []


def test_a_second_refresh_finds_nothing_to_do(warehouse: Warehouse) -> None:
    before = warehouse.path.resolve()
    refresh = warehouse.refresh()
    assert (refresh.kind, refresh.rows, refresh.slices, refresh.reasons) == ("unchanged", 0, 0, ())
    assert warehouse.path.resolve() == before


def test_only_changed_slices_are_replaced(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.sales([DAYS[1], DAYS[6]], "9.000")
    assert warehouse.stale() == [
        "dimensional.fact_sales: 2 slices changed: 2011-01-02, 2011-01-07",
        "aggregate.daily_sales: 2 slices changed: 2011-01-02, 2011-01-07",
    ]
    refresh = warehouse.refresh()
    assert (refresh.kind, refresh.rows, refresh.slices) == ("incremental", 6, 4)
    loads = {table.table: (table.slices, table.rows, table.total_rows) for table in refresh.tables}
    assert loads["dimensional.fact_sales"] == (2, 4, 12)
    assert loads["dimensional.dim_customer"] == (0, 0, 2)
    assert warehouse.stale() == []


def test_publishing_equal_rows_wakes_nobody(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.sales(DAYS[:5])
    assert warehouse.stale() == []


def test_an_incremental_refresh_equals_a_whole_one(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.sales([DAYS[1], DAYS[6]], "9.000")
    lake.customers("United Kingdom", "France")
    assert warehouse.refresh().kind == "incremental"
    incremental = content(warehouse)
    assert content(made_anew(lake)) == incremental


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**16))
def test_any_order_of_publications_and_refreshes_ends_in_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    choose = random.Random(seed)  # noqa: S311 - a repeatable shuffle
    lake = PublishedLake(tmp_path_factory.mktemp("lake"))
    lake.fill()
    followed = Warehouse(lake.project)
    for step in range(6):
        lake.sales(choose.sample(DAYS, 2), f"{step}.125", lines=choose.randrange(3))
        if choose.random() < 0.6:
            followed.refresh()
    followed.refresh()
    rows = content(followed)
    assert content(made_anew(lake)) == rows


def test_an_emptied_day_leaves_the_warehouse(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.sales([DAYS[1]], lines=0)
    warehouse.refresh()
    days = ask(warehouse, "SELECT DISTINCT business_date FROM dimensional.fact_sales ORDER BY 1")
    assert [str(day) for (day,) in days] == [DAYS[0], *DAYS[2:5]]
    assert ask(warehouse, f"SELECT row_count FROM platform.loaded_slices WHERE partition = '{DAYS[1]}'") == [(0,), (0,)]


def test_an_emptied_table_is_empty_in_the_warehouse(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.publish("dim_customer", [], [WHOLE])
    warehouse.refresh()
    assert ask(warehouse, "SELECT count(*) FROM dimensional.dim_customer") == [(0,)]


def test_a_slice_that_the_lake_no_longer_knows_leaves_the_warehouse(lake: PublishedLake, warehouse: Warehouse) -> None:
    for table in ("fact_sales", "daily_sales"):
        folder = lake.project.lake.table(lake.project.catalog.get(table)).folder
        folder.rename(folder.with_name(f"lost_{table}"))
    warehouse.refresh()
    assert ask(warehouse, "SELECT count(*) FROM dimensional.fact_sales") == [(0,)]
    assert ask(warehouse, "SELECT DISTINCT table_name FROM platform.loaded_slices") == [("dimensional.dim_customer",)]


@pytest.mark.parametrize("table", ["fact_sales", "daily_sales", "dim_customer"])
def test_rows_whose_record_was_lost_are_served_all_the_same(
    lake: PublishedLake, warehouse: Warehouse, table: str
) -> None:
    made: dict[str, Sequence[Row]] = {
        "fact_sales": sale_rows(DAYS[7]),
        "daily_sales": [{"business_date": date.fromisoformat(DAYS[7]), "net_amount": Decimal(3)}],
        "dim_customer": [{"customer_key": 9, "customer_id": "C9", "country": None}],
    }
    rows = made[table]
    lake.publish(table, rows, [WHOLE if table == "dim_customer" else DAYS[7]], recorded=False)
    refresh = warehouse.refresh()
    assert all(load.total_rows == load.lake_rows for load in refresh.tables)
    assert warehouse.stale() == []
    lake.publish(table, rows, [WHOLE if table == "dim_customer" else DAYS[7]])
    assert len(warehouse.stale()) == 1


def test_tables_are_typed_and_commented_from_their_contracts(warehouse: Warehouse) -> None:
    columns = ask(
        warehouse,
        "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() "
        "WHERE table_name = 'fact_sales' ORDER BY column_index",
    )
    assert columns == [
        ("sale_key", "BIGINT", False, "The sale_key."),
        ("customer_key", "BIGINT", False, "The customer_key."),
        ("net_amount", "DECIMAL(18,3)", False, "The net_amount. Unit: GBP."),
        ("sold_at", "TIMESTAMP WITH TIME ZONE", True, "The sold_at."),
        ("labels", "VARCHAR[]", True, "The labels."),
        ("business_date", "DATE", False, "The business_date."),
    ]
    comments = dict(
        ask(warehouse, "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'dim_customer'")
    )
    assert comments["customer_id"] == "The customer_id. Classification: confidential."
    (table,) = ask(warehouse, "SELECT comment FROM duckdb_tables() WHERE table_name = 'fact_sales'")
    assert table == ("The fact_sales of a test. Grain: one row per row. Contract version 1.0.0.",)


def test_only_tables_that_are_replaced_whole_carry_their_key_as_a_constraint(warehouse: Warehouse) -> None:
    keys = ask(
        warehouse,
        "SELECT table_name, constraint_column_names FROM duckdb_constraints() "
        "WHERE constraint_type = 'PRIMARY KEY' AND schema_name <> 'platform'",
    )
    assert keys == [("dim_customer", ["customer_key"])]


def test_a_required_column_that_only_warns_may_be_null(lake: PublishedLake) -> None:
    lake.factory.add(
        "dimensional",
        "dim_customer",
        {
            "customer_key": "BIGINT key",
            "customer_id": ("VARCHAR required", {"customProperties": [_only_warns("required")]}),
            "country": "VARCHAR",
        },
        inputs=["raw_sales"],
    )
    lake.project = lake.load()
    lake.publish("dim_customer", [{"customer_key": 1, "customer_id": None, "country": None}])
    warehouse = Warehouse(lake.project)
    warehouse.refresh()
    assert ask(warehouse, "SELECT customer_id FROM dimensional.dim_customer") == [(None,)]


def test_rows_from_before_a_stricter_contract_are_served_without_its_constraints(lake: PublishedLake) -> None:
    rows = [{"customer_key": key, "customer_id": None, "country": None} for key in (1, 1)]
    lake.publish("dim_customer", rows)
    warehouse = Warehouse(lake.project)
    warehouse.refresh()
    assert ask(warehouse, "SELECT count(*) FROM dimensional.dim_customer") == [(2,)]
    constrained = "SELECT DISTINCT table_name FROM duckdb_constraints() WHERE schema_name = 'dimensional'"
    assert ask(warehouse, constrained) == [("fact_sales",)]
    assert warehouse.stale() == []
    lake.customers("France")
    warehouse.refresh()
    assert sorted(ask(warehouse, constrained)) == [("dim_customer",), ("fact_sales",)]


def _only_warns(rule: str) -> dict[str, object]:
    return {"property": "severity", "value": {rule: "warning"}}


def test_a_changed_definition_makes_the_file_anew(lake: PublishedLake, warehouse: Warehouse) -> None:
    daily = {"business_date": "DATE key partitioned", "net_amount": "DECIMAL(18,3)", "note": "VARCHAR"}
    lake.factory.add(
        "aggregate", "daily_sales", daily, inputs=["fact_sales"], partitioning="day", custom={"physical": "none"}
    )
    lake.project = lake.load()
    changed = Warehouse(lake.project)
    assert changed.stale() == ["aggregate.daily_sales: its contract changed"]
    assert changed.refresh().kind == "whole"
    assert ask(changed, "SELECT DISTINCT note, net_amount FROM aggregate.daily_sales") == [(None, Decimal("3.000"))]


def test_a_new_table_appears_and_a_dropped_one_is_gone(lake: PublishedLake, warehouse: Warehouse) -> None:
    lake.factory.add("aggregate", "metrics", {"customer_id": "VARCHAR key"}, inputs=["fact_sales"])
    for file in lake.factory.tables_dir.glob("aggregate/daily_sales.*"):
        file.unlink()
    changed = Warehouse(lake.load())
    assert changed.stale() == ["aggregate.metrics: never loaded", "aggregate.daily_sales: no longer a table"]
    changed.refresh()
    names = ask(changed, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'aggregate'")
    assert names == [("metrics",)]


def test_a_contract_that_waits_for_a_rebuild_stops_the_refresh_and_says_so(
    lake: PublishedLake, warehouse: Warehouse
) -> None:
    before = content(warehouse)
    columns = {"customer_key": "BIGINT key", "customer_id": "VARCHAR required", "country": "VARCHAR required"}
    lake.factory.add("dimensional", "dim_customer", columns, inputs=["raw_sales"])
    with pytest.raises(
        PermanentError, match=r"column country became required.*dataplatform rebuild dim_customer --yes"
    ):
        Warehouse(lake.load()).refresh()
    assert content(warehouse) == before


def test_a_file_that_somebody_changed_by_hand_is_made_anew(lake: PublishedLake, warehouse: Warehouse) -> None:
    file = warehouse.path.resolve()
    file.chmod(0o644)
    file.with_name(f"{file.name}.wal").unlink()
    with duckdb.connect(str(file)) as connection:
        connection.execute("DELETE FROM dimensional.fact_sales WHERE sale_key % 1000 = 0")
    lake.sales([DAYS[6]])
    assert warehouse.refresh().kind == "whole"
    assert ask(warehouse, "SELECT count(*) FROM dimensional.fact_sales") == [(12,)]


def test_a_damaged_file_is_made_anew(lake: PublishedLake, warehouse: Warehouse) -> None:
    before = content(warehouse)
    file = warehouse.path.resolve()
    file.chmod(0o644)
    file.write_bytes(b"not a database")
    assert len(warehouse.stale()) == 3
    assert warehouse.refresh().kind == "whole"
    assert content(warehouse) == before


def test_before_the_first_refresh_opening_says_how_to_make_it(tmp_path: Path) -> None:
    warehouse = Warehouse(PublishedLake(tmp_path).project)
    with pytest.raises(PermanentError, match=r"there is no warehouse at .*warehouse\.duckdb yet; `dataplatform run`"):
        warehouse.connect()


def test_tables_that_were_never_published_are_there_and_empty(tmp_path: Path) -> None:
    warehouse = Warehouse(PublishedLake(tmp_path).project)
    warehouse.refresh()
    assert ask(warehouse, "SELECT count(*) FROM dimensional.fact_sales") == [(0,)]
    assert warehouse.stale() == []
