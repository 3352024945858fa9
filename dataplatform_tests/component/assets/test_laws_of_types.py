"""What is stored keeps its contract's types, and a contract that changes on a populated table waits to be asked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from dataplatform.assets.slices import make_slices
from dataplatform.errors import PermanentError, ShapeError
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.shop import deliver, load, reload, rows, settle, shop_tables

D1, D2 = "2011-01-01", "2011-01-02"


def stale(project: Project) -> list[tuple[str, str]]:
    return [(s.table, s.partition) for s in make_plan(project).slices()]


# the law of the cast


def test_what_is_stored_has_the_contracts_types_to_the_last_digit(tmp_path: Path) -> None:
    product = """
        def daily_orders(fact_orders):
            f = fact_orders
            return f.group_by('business_date').agg(
                order_count=f.count(), total_amount=(f.order_amount * f.order_amount).sum())
    """
    shop_tables(tmp_path, daily_orders={"function": product})
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "34")])
    settle(shop)
    assert rows(shop, "daily_orders", "total_amount") == [(Decimal("1156.000"),)]
    stored = shop.lake.table(shop.catalog.get("daily_orders")).open().dataset().schema
    assert stored.field("total_amount").type == pa.decimal128(18, 3)


def test_a_cast_that_changes_values_is_an_error_unless_rounding_is_declared(tmp_path: Path) -> None:
    product = """
        def daily_orders(fact_orders):
            f = fact_orders
            return f.group_by('business_date').agg(
                order_count=f.count(), total_amount=(f.order_amount * f.order_amount).sum())
    """
    shop_tables(tmp_path, daily_orders={"function": product})
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "0.015")])
    daily = shop.catalog.get("daily_orders")
    settle(shop, select=["orders", "dim_buyer", "fact_orders"])
    with pytest.raises(ShapeError, match="changed values: total_amount in 1 rows; round in the function"):
        make_slices(shop, daily, [D1], run_id="run")
    shop_tables(tmp_path, daily_orders={"function": product, "custom": {"physical": "none", "rounding": "half_up"}})
    shop = reload(shop)
    make_slices(shop, shop.catalog.get("daily_orders"), [D1], run_id="run")
    assert rows(shop, "daily_orders", "total_amount") == [(Decimal("0.000"),)]


def test_a_value_too_large_for_its_column_is_named(tmp_path: Path) -> None:
    shop_tables(
        tmp_path,
        daily_orders={
            "columns": {
                "business_date": "DATE partitioned key",
                "order_count": "BIGINT",
                "total_amount": "DECIMAL(4,3)",
            }
        },
    )
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "34")])
    settle(shop, select=["orders", "dim_buyer", "fact_orders"])
    with pytest.raises(ShapeError, match=r"aggregate\.daily_orders: a value does not fit"):
        make_slices(shop, shop.catalog.get("daily_orders"), [D1], run_id="run")


# a contract that changes on a populated table


def test_a_rebuild_is_refused_by_name_until_it_is_asked_for(tmp_path: Path) -> None:
    """Pain 3: what would leave rows of another shape waits to be asked for."""
    shop_tables(tmp_path)
    shop = load(tmp_path)
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    columns = {"business_date": "DATE partitioned key", "order_count": "VARCHAR", "total_amount": "DECIMAL(18,3)"}
    function = """
        def daily_orders(fact_orders):
            f = fact_orders
            return f.group_by('business_date').agg(
                order_count=f.count().cast('string'), total_amount=f.order_amount.sum())
    """
    shop_tables(tmp_path, daily_orders={"columns": columns, "function": function})
    shop = reload(shop)
    plan = make_plan(shop)
    assert "daily_orders" in plan.refused
    assert len(plan) == 0
    daily = shop.catalog.get("daily_orders")
    with pytest.raises(PermanentError, match="dataplatform rebuild daily_orders --yes"):
        make_slices(shop, daily, [D1], run_id="run")
    before = shop.lake.table(daily).open().version
    make_slices(shop, daily, shop.keys(daily), run_id="rebuild", rewrite=True)
    assert shop.lake.table(daily).open().version == before + 1
    assert [row[1] for row in rows(shop, "daily_orders")] == ["1", "1"]
    assert stale(shop) == []


def test_a_rebuild_that_would_lose_a_published_day_changes_nothing(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path)
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    before = rows(shop, "raw_shop_orders")
    raw = shop.catalog.get("raw_shop_orders")
    with pytest.raises(PermanentError, match="a rebuild would lose 2 published partitions"):
        make_slices(shop, raw, shop.keys(raw), run_id="rebuild", rewrite=True)
    assert rows(shop, "raw_shop_orders") == before


def test_an_added_nullable_column_applies_with_the_next_publication(tmp_path: Path) -> None:
    """Pain 3: what adds to a table just applies."""
    shop_tables(tmp_path)
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "1")])
    settle(shop)
    columns = {
        "business_date": "DATE partitioned key",
        "order_count": "BIGINT",
        "total_amount": "DECIMAL(18,3)",
        "note": "VARCHAR",
    }
    function = """
        def daily_orders(fact_orders):
            f = fact_orders
            return f.group_by('business_date').agg(
                order_count=f.count(), total_amount=f.order_amount.sum(), note=ibis.literal('n'))
    """
    shop_tables(tmp_path, daily_orders={"columns": columns, "function": function})
    shop = reload(shop)
    assert rows(shop, "daily_orders", "note") == [(None,)]
    assert settle(shop) == [("daily_orders", D1)]
    assert rows(shop, "daily_orders", "note") == [("n",)]
