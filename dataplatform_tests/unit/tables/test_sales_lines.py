"""cleaned.sales_lines: how delivered text is read, what a line is, and why a line cannot be published."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dataplatform_tests.unit.tables.making import Row, contract, day, delivered, instant, make


def clean(**changes: Any) -> Row:
    """What becomes of one delivered line."""
    (row,) = make("sales_lines", raw_ledger_sales_lines=[delivered(**changes)])
    return row


def errors(**changes: Any) -> list[str]:
    return list(clean(**changes)["_row_errors"])


def test_a_line_that_nothing_is_wrong_with_is_typed_and_has_no_errors() -> None:
    assert clean() == {
        "business_date": day("2011-01-10"),
        "file_name": "2011-01-10.csv.gz",
        "line_number": 1,
        "invoice_no": "540001",
        "stock_code": "85123A",
        "description": "WHITE HANGING HEART T-LIGHT HOLDER",
        "quantity": 6,
        "unit_price": Decimal("2.550"),
        "sold_at": instant("2011-01-10 09:30:00"),
        "customer_id": 17850,
        "country": "United Kingdom",
        "line_type": "sale",
        "charge_type": "product",
        "_row_errors": [],
    }


@pytest.mark.parametrize(
    ("invoice", "price", "quantity", "expected"),
    [
        ("C540001", "2.55", "-6", "cancellation"),
        ("c540001", "2.55", "-6", "cancellation"),
        ("C540001", "0.000", "-6", "cancellation"),
        ("A540001", "-11062.06", "1", "adjustment"),
        ("A540001", "0.000", "-1", "adjustment"),
        ("540001", "0.000", "6", "stock_movement"),
        ("540001", "0", "-6", "stock_movement"),
        ("540001", "2.55", "-6", "stock_movement"),
        ("540001", "2.55", "6", "sale"),
        ("540001", "-2.55", "6", "sale"),
        ("540001C", "2.55", "6", "sale"),
    ],
)
def test_a_line_is_what_the_first_rule_that_holds_says(invoice: str, price: str, quantity: str, expected: str) -> None:
    assert clean(invoice=invoice, price=price, quantity=quantity)["line_type"] == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("POST", "postage"),
        ("DOT", "postage"),
        ("C2", "postage"),
        ("23444", "postage"),
        ("M", "manual"),
        ("m", "manual"),
        (" post ", "postage"),
        ("D", "discount"),
        ("S", "sample"),
        ("BANK CHARGES", "fee"),
        ("AMAZONFEE", "fee"),
        ("CRUK", "charity"),
        ("PADS", "accessory"),
        ("B", "bad_debt"),
        ("gift_0001_20", "gift_voucher"),
        ("22016", "gift_voucher"),
        ("DCGS0003", "product"),
        ("DCGSSGIRL", "product"),
        ("85123A", "product"),
        ("23702", "product"),
    ],
)
def test_a_charge_is_told_by_its_code(code: str, expected: str) -> None:
    assert clean(stock_code=code)["charge_type"] == expected


def test_the_kind_of_charge_does_not_depend_on_the_kind_of_line() -> None:
    row = clean(invoice="C540001", stock_code="D", quantity="-1", price="27.50")
    assert (row["line_type"], row["charge_type"]) == ("cancellation", "discount")


def test_codes_are_trimmed_capitals_and_text_has_single_spaces() -> None:
    row = clean(
        invoice="\tc540001 ",
        stock_code=" 85123a\u00a0",
        description="  WHITE \t HANGING\r\nHEART\u00a0 HOLDER ",
        country=" United  Kingdom ",
    )
    assert row["invoice_no"] == "C540001"
    assert row["stock_code"] == "85123A"
    assert row["description"] == "WHITE HANGING HEART HOLDER"
    assert row["country"] == "United Kingdom"


def test_letters_at_the_ends_of_text_stay() -> None:
    assert clean(description="five ivy leaf")["description"] == "five ivy leaf"


def test_empty_text_becomes_null() -> None:
    row = clean(invoice="", stock_code=" ", description=" \t ", customer_id="", country="")
    names = ("invoice_no", "stock_code", "description", "customer_id", "country")
    assert [row[name] for name in names] == [None] * 5
    assert row["_row_errors"] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-80995", -80995), ("007", 7), ("2147483647", 2**31 - 1), ("-2147483648", -(2**31))],
)
def test_a_whole_quantity_is_read(text: str, value: int) -> None:
    row = clean(quantity=text)
    assert (row["quantity"], row["_row_errors"]) == (value, [])


@pytest.mark.parametrize("text", ["1,234.5", "1e3", "NaN", "2.5", "6.0", "", " 6", "+6", "six", "٣", "6\n"])
def test_a_quantity_that_is_no_whole_number_is_quarantined(text: str) -> None:
    row = clean(quantity=text)
    assert row["quantity"] is None
    assert row["_row_errors"] == [f"unparseable:quantity='{text}'"]


@pytest.mark.parametrize("text", ["2147483648", "-2147483649", "9" * 18, "9" * 19, "9" * 39])
def test_a_quantity_beyond_32_bits_is_quarantined(text: str) -> None:
    row = clean(quantity=text)
    assert row["quantity"] is None
    assert row["_row_errors"] == [f"out_of_range:quantity='{text}'"]


@pytest.mark.parametrize("text", ["0.001", "38970", "2.5", "0.000", "-11062.06", "999999999999999.999"])
def test_a_plain_price_is_read_to_the_last_digit(text: str) -> None:
    row = clean(price=text)
    assert (row["unit_price"], row["_row_errors"]) == (Decimal(text), [])


@pytest.mark.parametrize("text", ["1,234.5", "1e3", "NaN", "1.2345", ".5", "5.", "£5", "", "2.55 ", "inf"])
def test_a_price_that_is_no_plain_number_is_quarantined(text: str) -> None:
    row = clean(price=text)
    assert row["unit_price"] is None
    assert row["_row_errors"] == [f"unparseable:unit_price='{text}'"]


def test_a_price_with_more_digits_than_are_stored_is_quarantined() -> None:
    assert errors(price="1234567890123456.5") == ["out_of_range:unit_price='1234567890123456.5'"]


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2011-01-15 12:00:00", "2011-01-15 12:00:00"),
        ("2011-07-15 12:00:00", "2011-07-15 11:00:00"),
        ("2011-07-15 00:30:00", "2011-07-14 23:30:00"),
        ("2011-03-27 00:59:59", "2011-03-27 00:59:59"),
        ("2011-03-27 02:00:00", "2011-03-27 01:00:00"),
        ("2011-10-30 00:59:59", "2011-10-29 23:59:59"),
        ("2011-10-30 01:30:00", "2011-10-30 00:30:00"),
        ("2011-10-30 02:00:00", "2011-10-30 02:00:00"),
    ],
)
def test_local_time_becomes_utc_and_a_repeated_hour_takes_the_earlier_instant(local: str, utc: str) -> None:
    row = clean(invoice_date=local, business_date=day(local[:10]))
    assert (row["sold_at"], row["_row_errors"]) == (instant(utc), [])


@pytest.mark.parametrize("local", ["2011-03-27 01:00:00", "2011-03-27 01:30:00", "2011-03-27 01:59:59"])
def test_a_local_time_that_the_clocks_skipped_is_quarantined(local: str) -> None:
    found = errors(invoice_date=local, business_date=day("2011-03-27"))
    assert found == [f"local_time_does_not_exist:sold_at='{local}'"]


def test_the_zone_is_a_setting() -> None:
    zone = {"business_zone": "America/New_York"}
    (row,) = make("sales_lines", zone, raw_ledger_sales_lines=[delivered(invoice_date="2011-01-10 22:00:00")])
    assert (row["sold_at"], row["_row_errors"]) == (instant("2011-01-11 03:00:00"), [])


@pytest.mark.parametrize(
    "text",
    [
        "2011-01-10T09:30:00",
        "2011-01-10 09:30",
        "2011-01-10 09:30:00.5",
        "2011-01-10 9:30:00",
        "10/01/2011 09:30:00",
        "2011-01-10 24:00:00",
        "2011-01-10 09:60:00",
        "2011-02-30 09:30:00",
        "2011-13-01 09:30:00",
        "2011-01-10 09:30:00+00",
        "",
    ],
)
def test_another_date_format_or_no_date_is_quarantined(text: str) -> None:
    row = clean(invoice_date=text)
    assert row["sold_at"] is None
    assert row["_row_errors"] == [f"unparseable:sold_at='{text}'"]


@pytest.mark.parametrize("text", ["2011-01-09 23:59:59", "2011-01-11 00:00:00", "3000-01-10 09:30:00"])
def test_a_line_of_another_day_is_quarantined(text: str) -> None:
    assert errors(invoice_date=text) == [f"not_of_this_day:sold_at='{text}'"]


def test_a_line_without_description_and_price_is_quarantined() -> None:
    assert errors(description="", price="0.000") == ["names_nothing_sold"]
    assert errors(description="  ", price="0", customer_id="") == ["names_nothing_sold"]


def test_a_line_with_a_description_or_a_price_names_something() -> None:
    assert errors(description="damaged", price="0.000") == []
    assert errors(description="", price="0.001") == []


def test_every_reason_is_given() -> None:
    assert errors(description="", price="", quantity="x", invoice_date="soon", customer_id="y") == [
        "names_nothing_sold",
        "unparseable:quantity='x'",
        "unparseable:unit_price=''",
        "unparseable:sold_at='soon'",
        "unparseable:customer_id",
    ]


@pytest.mark.parametrize("text", ["17850.0", "A17850", "1" * 19])
def test_a_customer_number_that_cannot_be_read_is_quarantined_and_not_shown(text: str) -> None:
    row = clean(customer_id=text)
    assert row["customer_id"] is None
    assert row["_row_errors"] == ["unparseable:customer_id"]


def test_a_customer_number_may_have_18_digits() -> None:
    assert clean(customer_id="9" * 18)["customer_id"] == 999_999_999_999_999_999


def test_every_reason_is_under_a_name_of_the_table_so_that_it_may_be_shown() -> None:
    reasons = errors(price="", quantity="x", invoice_date="soon", customer_id="y")
    reasons += errors(invoice_date="2011-01-09 23:59:59")
    reasons += errors(invoice_date="2011-03-27 01:30:00", business_date=day("2011-03-27"))
    columns = [reason.partition(":")[2].partition("=")[0] for reason in reasons]
    assert set(columns) == {"quantity", "unit_price", "sold_at", "customer_id"}
    assert set(columns) <= set(contract("sales_lines").column_names)


def test_a_long_text_is_cut_in_its_reason() -> None:
    (reason,) = errors(quantity="x" * 1000)
    assert reason == f"unparseable:quantity='{'x' * 40}'"


def test_repeated_lines_are_kept() -> None:
    rows = make("sales_lines", raw_ledger_sales_lines=[delivered(line_number=number) for number in (1, 2, 3)])
    assert sorted(row["line_number"] for row in rows) == [1, 2, 3]


def test_lines_of_several_days_are_each_held_against_their_own() -> None:
    rows = make(
        "sales_lines",
        raw_ledger_sales_lines=[
            delivered(),
            delivered(business_date=day("2011-01-11")),
            delivered(business_date=day("2011-01-11"), invoice_date="2011-01-11 09:30:00", line_number=2),
        ],
    )
    assert [
        bool(row["_row_errors"]) for row in sorted(rows, key=lambda row: (row["business_date"], row["line_number"]))
    ] == [
        False,
        True,
        False,
    ]


def test_no_lines_make_no_lines() -> None:
    assert make("sales_lines", raw_ledger_sales_lines=[]) == []
