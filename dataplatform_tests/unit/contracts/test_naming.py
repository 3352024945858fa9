"""The naming law, name by name."""

from __future__ import annotations

import pytest

from dataplatform.contracts.model import Grain, Layer
from dataplatform.contracts.naming import naming_problems
from dataplatform_tests.by_hand import contract


def of_table(layer: Layer, name: str, grain: Grain = Grain.NONE) -> list[str]:
    return naming_problems(contract(name, {"label": "VARCHAR"}, layer=layer, grain=grain))


def of_column(name: str, type_name: str, layer: Layer = Layer.CLEANED) -> list[str]:
    table = "raw_shop_orders" if layer is Layer.RAW else "orders"
    return naming_problems(contract(table, {name: type_name}, layer=layer))


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Layer.RAW, "raw_ledger_sales_lines"),
        (Layer.CLEANED, "sales_lines"),
        (Layer.DIMENSIONAL, "dim_customer"),
        (Layer.DIMENSIONAL, "fact_sales"),
        (Layer.DIMENSIONAL, "bridge_product_category"),
        (Layer.AGGREGATE, "customer_metrics"),
    ],
)
def test_a_table_is_called_after_its_layer(layer: Layer, name: str) -> None:
    assert of_table(layer, name) == []


@pytest.mark.parametrize(
    ("layer", "name", "law"),
    [
        (Layer.RAW, "orders", "raw.orders: raw tables are called raw_<source>_<entity>"),
        (Layer.RAW, "raw_orders", "raw.raw_orders: raw tables are called raw_<source>_<entity>"),
        (Layer.CLEANED, "order", "cleaned.order: cleaned tables are called <entities>, in the plural"),
        (Layer.CLEANED, "dim_orders", "cleaned.dim_orders: cleaned tables are called <entities>, in the plural"),
        (
            Layer.DIMENSIONAL,
            "customers",
            "dimensional.customers: dimensional tables are called dim_<entity>, fact_<process> or bridge_<a>_<b>",
        ),
        (Layer.AGGREGATE, "sales", "aggregate.sales: aggregate tables are called <grain>_<subject>"),
    ],
)
def test_a_table_called_otherwise_breaks_the_law(layer: Layer, name: str, law: str) -> None:
    assert of_table(layer, name) == [law]


def test_an_aggregate_says_its_grain_first() -> None:
    assert of_table(Layer.AGGREGATE, "daily_sales", Grain.DAY) == []
    assert of_table(Layer.AGGREGATE, "monthly_sales", Grain.MONTH) == []
    assert of_table(Layer.AGGREGATE, "shop_sales", Grain.DAY) == [
        "aggregate.shop_sales: a table by day starts with daily_"
    ]


@pytest.mark.parametrize(
    ("name", "type_name"),
    [
        ("customer_id", "VARCHAR"),
        ("customer_key", "BIGINT"),
        ("date_key", "INTEGER"),
        ("sold_at", "TIMESTAMP"),
        ("business_date", "DATE"),
        ("first_seen_on", "DATE"),
        ("cohort_month", "DATE"),
        ("valid_from", "DATE"),
        ("valid_to", "DATE"),
        ("is_current", "BOOLEAN"),
        ("has_orders", "BOOLEAN"),
        ("net_amount", "DECIMAL(18,3)"),
        ("unit_price", "DECIMAL(18,3)"),
        ("order_count", "BIGINT"),
        ("active_ratio", "DOUBLE"),
    ],
)
def test_a_column_is_called_after_what_it_holds(name: str, type_name: str) -> None:
    assert of_column(name, type_name) == []


@pytest.mark.parametrize(
    ("name", "type_name", "law"),
    [
        ("orderDate", "VARCHAR", "columns are snake_case"),
        ("customer_key", "VARCHAR", "a surrogate key is an integer, not VARCHAR"),
        ("sold_at", "DATE", "a moment is a TIMESTAMP, not DATE"),
        ("sold", "TIMESTAMP", "a TIMESTAMP is called …_at"),
        ("sold_date", "TIMESTAMP", "a day is a DATE, not TIMESTAMP"),
        ("seen_on", "VARCHAR", "a day is a DATE, not VARCHAR"),
        ("day", "DATE", "a DATE is called …_date or …_on"),
        ("current", "BOOLEAN", "a BOOLEAN is called is_… or has_…"),
        ("is_current", "INTEGER", "is_ and has_ are for BOOLEAN, not INTEGER"),
        ("net_amount", "DOUBLE", "money is a DECIMAL, not DOUBLE"),
        ("order_count", "DOUBLE", "a count is an integer, not DOUBLE"),
    ],
)
def test_a_column_called_otherwise_breaks_the_law(name: str, type_name: str, law: str) -> None:
    found = of_column(name, type_name)

    assert any(line.startswith(f"cleaned.orders.{name}: {law}") for line in found), found


def test_delivered_texts_may_be_called_anything_in_snake_case() -> None:
    assert of_column("invoice_date", "VARCHAR", Layer.RAW) == []
    assert of_column("InvoiceDate", "VARCHAR", Layer.RAW) == ["raw.raw_shop_orders.InvoiceDate: columns are snake_case"]
