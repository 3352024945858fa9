"""dimensional.dim_product: what a code charges for, under its newest usable description."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import pytest

from dataplatform_tests.unit.tables.making import Row, day, line, make, one

FREE = Decimal("0.000")


def described(*lines: Row) -> str | None:
    text: str | None = one(make("dim_product", sales_lines=lines), stock_code="85123A")["description"]
    return text


def test_the_newest_description_wins_whatever_order_lines_arrive_in() -> None:
    old, new = line("2011-01-10", description="OLD NAME"), line("2011-02-10", description="NEW NAME")
    assert described(old, new) == described(new, old) == "NEW NAME"


def test_of_lines_at_one_moment_the_last_delivered_names_the_product() -> None:
    first = line(line_number=99_999_998, description="ONE NAME")
    last = line(line_number=99_999_999, description="A NAME")
    assert described(first, last) == described(last, first) == "A NAME"


@pytest.mark.parametrize("note", ["damaged", "?", "check", "AMAZON", "MERCHANT CHANDLER CREDIT ERROR", None])
def test_a_note_on_stock_is_no_description_of_what_was_sold(note: str | None) -> None:
    sold = line("2011-01-10", description="WHITE HEART")
    moved = line("2011-02-10", description=note, unit_price=FREE, quantity=-5, line_type="stock_movement")
    assert described(sold, moved) == "WHITE HEART"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TRAVEL CARD WALLET", "TRAVEL CARD WALLET"),
        ("6 RIBBONS", "6 RIBBONS"),
        ("damaged", None),
        ("Thrown away", None),
        ("AMAZON", None),
        ("?", None),
        ("20713 ??", None),
        (None, None),
    ],
)
def test_what_was_never_sold_is_described_by_what_looks_like_a_name(text: str | None, expected: str | None) -> None:
    assert described(line(description=text, unit_price=FREE, line_type="stock_movement")) == expected


def test_a_sold_line_without_a_description_does_not_take_the_name_away() -> None:
    named, unnamed = line("2011-01-10", description="Next Day Carriage"), line("2011-02-10", description=None)
    assert described(named, unnamed) == "Next Day Carriage"


def test_a_product_knows_its_first_and_last_day_and_its_key() -> None:
    rows = make("dim_product", sales_lines=[line("2011-02-10"), line("2011-01-10"), line("2011-03-10")])
    assert one(rows, stock_code="85123A") == {
        "product_key": int(hashlib.sha256(b"85123A|1900-01-01").hexdigest()[:15], 16),
        "stock_code": "85123A",
        "description": "WHITE HANGING HEART",
        "charge_type": "product",
        "is_product": True,
        "first_seen_on": day("2011-01-10"),
        "last_seen_on": day("2011-03-10"),
    }


def test_what_is_no_product_says_what_it_charges_for() -> None:
    rows = make("dim_product", sales_lines=[line(stock_code="POST", charge_type="postage", description="POSTAGE")])
    row = one(rows, stock_code="POST")
    assert (row["charge_type"], row["is_product"]) == ("postage", False)


def test_the_unknown_member_is_there_without_any_line() -> None:
    assert make("dim_product", sales_lines=[]) == [
        {
            "product_key": 0,
            "stock_code": None,
            "description": "Unknown",
            "charge_type": "unknown",
            "is_product": False,
            "first_seen_on": None,
            "last_seen_on": None,
        }
    ]
