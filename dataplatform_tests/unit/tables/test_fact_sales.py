"""dimensional.fact_sales: amounts, and the one version of every dimension a line refers to."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from dataplatform_tests.unit.tables.making import Row, day, instant, line, make, one


def version(key: int, start: str, end: str, customer_id: int | None = 17850) -> Row:
    return {"customer_key": key, "customer_id": customer_id, "valid_from": day(start), "valid_to": day(end)}


UNKNOWN = version(0, "1900-01-01", "9999-12-31", None)
ALWAYS = version(31, "1900-01-01", "9999-12-31")
PRODUCTS: list[Row] = [{"stock_code": "85123A", "product_key": 11}, {"stock_code": None, "product_key": 0}]
LOCATIONS: list[Row] = [{"country": "United Kingdom", "location_key": 21}, {"country": None, "location_key": 0}]


def facts(
    *lines: Row,
    customers: Sequence[Row] = (UNKNOWN, ALWAYS),
    products: Sequence[Row] = PRODUCTS,
    locations: Sequence[Row] = LOCATIONS,
) -> list[Row]:
    return make("fact_sales", sales_lines=lines, dim_customer=customers, dim_product=products, dim_location=locations)


def test_a_line_becomes_a_fact_with_keys_natural_ids_and_amounts() -> None:
    (row,) = facts(line(line_number=42))
    assert row == {
        "sale_key": 2011011000000042,
        "date_key": 20110110,
        "customer_key": 31,
        "customer_id": 17850,
        "product_key": 11,
        "stock_code": "85123A",
        "location_key": 21,
        "invoice_no": "540001",
        "line_number": 42,
        "line_type": "sale",
        "charge_type": "product",
        "sold_at": instant("2011-01-10 09:30:00"),
        "quantity": 6,
        "unit_price": Decimal("2.550"),
        "total_amount": Decimal("15.300"),
        "discount_amount": Decimal("0.000"),
        "net_amount": Decimal("15.300"),
        "business_date": day("2011-01-10"),
    }


@pytest.mark.parametrize(
    ("charge", "quantity", "price", "total", "discount", "net"),
    [
        ("product", 6, "2.550", "15.300", "0.000", "15.300"),
        ("product", -6, "2.550", "-15.300", "0.000", "-15.300"),
        ("discount", -1, "27.500", "0.000", "27.500", "-27.500"),
        ("discount", 1, "27.500", "0.000", "-27.500", "27.500"),
        ("bad_debt", 1, "-11062.060", "-11062.060", "0.000", "-11062.060"),
        ("product", 3, "0.001", "0.003", "0.000", "0.003"),
        ("product", -80995, "2.080", "-168469.600", "0.000", "-168469.600"),
    ],
)
def test_a_discount_lowers_the_net_and_is_no_total(
    charge: str, quantity: int, price: str, total: str, discount: str, net: str
) -> None:
    (row,) = facts(line(charge_type=charge, quantity=quantity, unit_price=Decimal(price)))
    assert (row["total_amount"], row["discount_amount"], row["net_amount"]) == (
        Decimal(total),
        Decimal(discount),
        Decimal(net),
    )


def test_a_line_refers_to_the_version_that_was_valid_on_its_day() -> None:
    customers = [
        UNKNOWN,
        version(1, "1900-01-01", "2011-01-10"),
        version(2, "2011-01-10", "2011-01-12"),
        version(3, "2011-01-12", "9999-12-31"),
    ]
    lines = [line(f"2011-01-{n:02}") for n in (9, 10, 11, 12)]
    rows = facts(*lines, customers=customers)
    assert [row["customer_key"] for row in sorted(rows, key=lambda row: row["sale_key"])] == [1, 2, 2, 3]


def test_the_day_and_not_the_utc_instant_decides_the_version() -> None:
    customers = [version(1, "1900-01-01", "2011-07-15"), version(2, "2011-07-15", "9999-12-31")]
    (row,) = facts(line("2011-07-15", sold_at=instant("2011-07-14 23:30:00")), customers=customers)
    assert (row["customer_key"], row["date_key"]) == (2, 20110715)


def test_a_line_that_names_nobody_refers_to_the_unknown_member() -> None:
    (row,) = facts(line(customer_id=None, country=None))
    assert (row["customer_key"], row["customer_id"], row["location_key"]) == (0, None, 0)


def test_what_a_dimension_does_not_know_is_its_unknown_member_and_keeps_its_natural_id() -> None:
    (row,) = facts(line(customer_id=99, stock_code="NEW", country="Atlantis"))
    assert (row["customer_key"], row["product_key"], row["location_key"]) == (0, 0, 0)
    assert (row["customer_id"], row["stock_code"]) == (99, "NEW")


def test_a_line_in_a_deleted_stretch_refers_to_the_unknown_member() -> None:
    customers = [UNKNOWN, version(1, "1900-01-01", "2011-01-10"), version(3, "2011-01-12", "9999-12-31")]
    (row,) = facts(line("2011-01-11"), customers=customers)
    assert row["customer_key"] == 0


def test_every_line_becomes_one_fact() -> None:
    lines = [line(line_number=n, customer_id=c) for n, c in enumerate([17850, None, 99, 17850], 1)]
    rows = facts(*lines)
    assert sorted(row["line_number"] for row in rows) == [1, 2, 3, 4]
    assert one(rows, line_number=4)["customer_key"] == 31


def test_no_lines_make_no_facts_and_empty_dimensions_lose_none() -> None:
    assert facts() == []
    (row,) = facts(line(), customers=[], products=[], locations=[])
    assert (row["customer_key"], row["product_key"], row["location_key"]) == (0, 0, 0)
