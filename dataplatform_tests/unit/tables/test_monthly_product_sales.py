"""aggregate.monthly_product_sales: what a code sold in a month."""

from __future__ import annotations

from decimal import Decimal

from dataplatform_tests.unit.tables.making import day, make, one, sale


def test_a_code_adds_up_over_the_days_of_a_month_and_starts_again_in_the_next() -> None:
    rows = make(
        "monthly_product_sales",
        fact_sales=[
            sale("2011-01-01", net="10.000"),
            sale("2011-01-31", net="5.000", quantity=2),
            sale("2011-01-31", net="-3.000", quantity=-1, line_type="cancellation"),
            sale("2011-02-01", net="7.000"),
        ],
    )
    assert len(rows) == 2
    assert one(rows, month_start_date=day("2011-01-01")) == {
        "month_start_date": day("2011-01-01"),
        "stock_code": "85123A",
        "product_key": 11,
        "line_count": 3,
        "unit_count": 7,
        "gross_amount": Decimal("15.000"),
        "cancelled_amount": Decimal("3.000"),
        "net_amount": Decimal("12.000"),
    }
    assert one(rows, month_start_date=day("2011-02-01"))["net_amount"] == Decimal("7.000")


def test_the_same_month_of_two_years_is_two_months() -> None:
    rows = make("monthly_product_sales", fact_sales=[sale("2010-12-01"), sale("2011-12-01")])
    assert sorted(row["month_start_date"] for row in rows) == [day("2010-12-01"), day("2011-12-01")]


def test_every_code_has_a_row_whatever_it_charges_for() -> None:
    lines = [sale(), sale(stock_code="POST", product_key=12, charge_type="postage")]
    rows = make("monthly_product_sales", fact_sales=lines)
    assert {row["stock_code"]: row["product_key"] for row in rows} == {"85123A": 11, "POST": 12}


def test_a_code_that_was_unknown_on_some_day_is_still_one_row() -> None:
    (row,) = make("monthly_product_sales", fact_sales=[sale("2011-01-01", product_key=0), sale("2011-01-02")])
    assert (row["product_key"], row["line_count"]) == (11, 2)


def test_no_lines_make_no_month() -> None:
    assert make("monthly_product_sales", fact_sales=[]) == []
