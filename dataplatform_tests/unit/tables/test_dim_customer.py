"""dimensional.dim_customer: versions of a customer's country, and the member that nobody knows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dataplatform_tests.unit.tables.making import Row, day, line, make, one

FIRST, OPEN = day("1900-01-01"), day("9999-12-31")


def versions(*lines: Row) -> list[tuple[str, date, date]]:
    """(country, from, to) of the one customer of the lines, in order."""
    rows = [row for row in make("dim_customer", sales_lines=lines) if row["customer_id"] is not None]
    return [(r["country"], r["valid_from"], r["valid_to"]) for r in sorted(rows, key=lambda row: row["valid_from"])]


def test_a_customer_seen_in_one_country_has_one_version_for_all_time() -> None:
    rows = make("dim_customer", sales_lines=[line("2011-01-10"), line("2011-03-05", line_number=9)])
    row = one(rows, customer_id=17850)
    assert (row["valid_from"], row["valid_to"], row["is_current"]) == (FIRST, OPEN, True)
    assert (row["country"], row["first_seen_on"]) == ("United Kingdom", day("2011-01-10"))


def test_a_country_that_comes_back_has_a_third_version() -> None:
    lines = [
        line("2011-01-10", country="Cyprus"),
        line("2011-02-10", country="Austria"),
        line("2011-02-11", country="Austria"),
        line("2011-03-10", country="Cyprus"),
    ]
    assert versions(*lines) == [
        ("Cyprus", FIRST, day("2011-02-10")),
        ("Austria", day("2011-02-10"), day("2011-03-10")),
        ("Cyprus", day("2011-03-10"), OPEN),
    ]


def test_every_version_knows_when_the_customer_was_first_seen_and_only_the_last_is_current() -> None:
    rows = make("dim_customer", sales_lines=[line("2011-01-10"), line("2011-02-10", country="Austria")])
    ordered = sorted((r for r in rows if r["customer_id"]), key=lambda row: row["valid_from"])
    assert [r["first_seen_on"] for r in ordered] == [day("2011-01-10")] * 2
    assert [r["is_current"] for r in ordered] == [False, True]


def test_of_several_countries_on_a_day_the_latest_lines_counts() -> None:
    early = line(at="09:00:00", line_number=8, country="Austria")
    late = line(at="10:00:00", line_number=7, country="Cyprus")
    assert versions(early, late) == [("Cyprus", FIRST, OPEN)]


def test_of_lines_at_one_moment_the_last_delivered_counts() -> None:
    # so many that a moment and a position in one float would be the same number
    first, last = line(line_number=99_999_998, country="Cyprus"), line(line_number=99_999_999, country="Austria")
    assert versions(first, last) == [("Austria", FIRST, OPEN)]
    assert versions(last, first) == [("Austria", FIRST, OPEN)]


def test_customers_have_versions_of_their_own() -> None:
    rows = make("dim_customer", sales_lines=[line(customer_id=1, country="Cyprus"), line(customer_id=2, line_number=2)])
    assert one(rows, customer_id=1)["country"] == "Cyprus"
    assert one(rows, customer_id=2)["country"] == "United Kingdom"
    assert len({row["customer_key"] for row in rows}) == 3


def test_a_country_that_is_not_stated_is_unspecified() -> None:
    assert versions(line("2011-01-10", country=None)) == [("Unspecified", FIRST, OPEN)]


def test_lines_without_a_customer_make_no_version_and_the_unknown_member_is_always_there() -> None:
    for lines in ([], [line(customer_id=None)]):
        (row,) = make("dim_customer", sales_lines=lines)
        assert row == {
            "customer_key": 0,
            "customer_id": None,
            "country": "Unknown",
            "first_seen_on": None,
            "valid_from": FIRST,
            "valid_to": OPEN,
            "is_current": True,
        }


def test_a_key_is_the_first_60_bits_of_the_hash_of_customer_and_first_day() -> None:
    rows = make("dim_customer", sales_lines=[line("2011-01-10"), line("2011-02-10", country="Austria")])
    for row in (r for r in rows if r["customer_id"]):
        text = f"17850|{row['valid_from']}"
        assert row["customer_key"] == int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)


def test_a_late_line_before_all_others_moves_no_key_but_that_of_the_days_it_changes() -> None:
    lines = [line("2011-02-10", country="Cyprus"), line("2011-03-10", country="Austria")]
    before = {row["customer_key"] for row in make("dim_customer", sales_lines=lines)}
    after = {
        row["customer_key"] for row in make("dim_customer", sales_lines=[line("2011-01-10", country="Cyprus"), *lines])
    }
    assert after == before


DAYS = st.integers(0, 6).map(lambda n: date(2011, 1, 1) + timedelta(days=n))
SEEN = st.tuples(DAYS, st.integers(0, 3), st.sampled_from(["Cyprus", "Austria", "Spain"]))


@given(st.lists(SEEN, min_size=1, max_size=12, unique_by=lambda seen: seen[:2]), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_every_day_has_the_country_last_seen_by_then_in_whatever_order_lines_arrive(
    seen: list[tuple[date, int, str]], random: Any
) -> None:
    lines = [line(str(on), f"09:00:0{second}", line_number=second + 1, country=c) for on, second, c in seen]
    random.shuffle(lines)
    found = versions(*lines)
    newest: dict[date, tuple[int, str]] = defaultdict(lambda: (-1, ""))
    for on, second, country in seen:
        newest[on] = max(newest[on], (second, country))
    assert [start for _, start, _ in found] == [FIRST, *(end for _, _, end in found[:-1])]
    assert found[-1][2] == OPEN
    for on in (date(2011, 1, 1) + timedelta(days=n) for n in range(8)):
        known = [when for when in newest if when <= on] or [min(newest)]
        assert [c for c, start, end in found if start <= on < end] == [newest[max(known)][1]]
    assert all(a[0] != b[0] for a, b in pairwise(found))
