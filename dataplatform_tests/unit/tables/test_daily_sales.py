"""aggregate.daily_sales and aggregate.daily_country_sales: what a day brought in, whole and by country."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dataplatform_tests.unit.tables.making import Row, day, make, one, sale

LOCATIONS: list[Row] = [
    {"location_key": 0, "country": None, "country_name": "Unknown"},
    {"location_key": 21, "country": "United Kingdom", "country_name": "United Kingdom"},
    {"location_key": 22, "country": "EIRE", "country_name": "Ireland"},
]


def cancelled(net: str, **changes: Any) -> Row:
    return sale(net=net, **{"line_type": "cancellation", "invoice_no": "C540009", "quantity": -1, **changes})


MIXED = [
    sale(net="10.000", invoice_no="1", customer_id=1),
    sale(net="5.500", invoice_no="1", customer_id=1),
    sale(net="20.001", invoice_no="2", customer_id=None),
    cancelled("-4.000", customer_id=2),
    sale(net="-1.000", line_type="adjustment", invoice_no="A1", customer_id=None),
    sale(net="0.000", line_type="stock_movement", invoice_no="3", quantity=-30, customer_id=None),
]
"""Lines of every kind on one day: two orders, six lines."""


def by_country(*rows: Row) -> list[Row]:
    return make("daily_country_sales", fact_sales=rows, dim_location=LOCATIONS)


def test_a_day_counts_orders_lines_units_customers_and_money() -> None:
    assert make("daily_sales", fact_sales=MIXED) == [
        {
            "business_date": day("2011-01-10"),
            "order_count": 2,
            "line_count": 6,
            "unit_count": 6 + 6 + 6 - 1 + 6 - 30,
            "gross_amount": Decimal("34.501"),
            "cancelled_amount": Decimal("4.000"),
            "net_amount": Decimal("30.501"),
            "average_order_amount": Decimal("17.251"),
            "customer_count": 2,
        }
    ]


def test_each_day_has_a_row_of_its_own_and_days_without_lines_none() -> None:
    rows = make("daily_sales", fact_sales=[sale("2011-01-10", net="1.000"), sale("2011-01-12", net="2.000")])
    assert {row["business_date"]: row["net_amount"] for row in rows} == {
        day("2011-01-10"): Decimal("1.000"),
        day("2011-01-12"): Decimal("2.000"),
    }
    assert make("daily_sales", fact_sales=[]) == []


def test_a_day_of_cancellations_alone_has_no_gross_no_orders_and_no_average() -> None:
    (row,) = make("daily_sales", fact_sales=[cancelled("-4.000")])
    assert (row["gross_amount"], row["cancelled_amount"], row["net_amount"]) == (
        Decimal("0.000"),
        Decimal("4.000"),
        Decimal("-4.000"),
    )
    assert (row["order_count"], row["average_order_amount"]) == (0, None)


def test_an_invoice_without_a_sale_is_no_order() -> None:
    (row,) = make("daily_sales", fact_sales=[sale(line_type="stock_movement", net="0.000"), sale(invoice_no="540002")])
    assert row["order_count"] == 1


@pytest.mark.parametrize(
    ("gross", "orders", "average"),
    [
        ("0.001", 2, "0.001"),
        ("0.003", 2, "0.002"),
        ("-0.001", 2, "0.000"),
        ("10.000", 3, "3.333"),
        ("20.000", 3, "6.667"),
        ("100.100", 7, "14.300"),
        ("999999999999.999", 1, "999999999999.999"),
        ("999999999999.999", 2, "500000000000.000"),
        ("999999999999.000", 7, "142857142857.000"),
    ],
)
def test_the_average_is_rounded_half_up_to_the_last_digit(gross: str, orders: int, average: str) -> None:
    rest = [sale(net="0.000", invoice_no=str(number)) for number in range(1, orders)]
    (row,) = make("daily_sales", fact_sales=[sale(net=gross), *rest])
    assert row["average_order_amount"] == Decimal(average)


def test_a_country_has_its_own_row_on_each_day() -> None:
    rows = by_country(
        *MIXED,
        sale(net="7.000", location_key=22, invoice_no="4", customer_id=3),
        sale("2011-01-11", net="8.000", location_key=22, invoice_no="5", customer_id=3),
    )
    assert len(rows) == 3
    assert one(rows, location_key=21) == {
        "business_date": day("2011-01-10"),
        "location_key": 21,
        "country": "United Kingdom",
        "country_name": "United Kingdom",
        "order_count": 2,
        "line_count": 6,
        "unit_count": -7,
        "gross_amount": Decimal("34.501"),
        "cancelled_amount": Decimal("4.000"),
        "net_amount": Decimal("30.501"),
        "customer_count": 2,
    }
    ireland = one(rows, location_key=22, business_date=day("2011-01-10"))
    assert (ireland["country"], ireland["country_name"], ireland["net_amount"]) == ("EIRE", "Ireland", Decimal("7.000"))


def test_countries_add_up_to_the_day() -> None:
    lines = [*MIXED, sale(net="7.000", location_key=22), cancelled("-2.000", location_key=0)]
    countries, (whole,) = by_country(*lines), make("daily_sales", fact_sales=lines)
    for name in ("line_count", "unit_count", "gross_amount", "cancelled_amount", "net_amount"):
        assert sum(row[name] for row in countries) == whole[name]


def test_lines_of_a_location_that_is_missing_are_not_lost() -> None:
    (row,) = by_country(sale(location_key=99))
    assert (row["location_key"], row["country_name"], row["line_count"]) == (99, None, 1)


def test_lines_of_an_unknown_country_are_a_row_too() -> None:
    (row,) = by_country(sale(location_key=0))
    assert (row["country"], row["country_name"]) == (None, "Unknown")
    assert by_country() == []
