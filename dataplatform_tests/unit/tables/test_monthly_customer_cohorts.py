"""aggregate.monthly_customer_cohorts: who comes back."""

from __future__ import annotations

from datetime import date

import pytest

from dataplatform_tests.unit.tables.making import Row, day, make, one, sale


def cohorts(*seen: tuple[int | None, str]) -> list[Row]:
    return make("monthly_customer_cohorts", fact_sales=[sale(on, customer_id=customer) for customer, on in seen])


def active(rows: list[Row]) -> dict[tuple[date, int], tuple[int, int]]:
    return {
        (row["cohort_start_date"], row["months_since_first"]): (row["active_customer_count"], row["customer_count"])
        for row in rows
    }


def test_customers_belong_to_the_month_of_their_first_line_and_are_followed_from_there() -> None:
    rows = cohorts(
        (1, "2010-12-31"), (1, "2011-01-05"), (1, "2011-02-01"), (2, "2010-12-01"), (2, "2011-02-28"), (3, "2011-01-31")
    )  # fmt: skip
    december, january = day("2010-12-01"), day("2011-01-01")
    assert active(rows) == {
        (december, 0): (2, 2),
        (december, 1): (1, 2),
        (december, 2): (2, 2),
        (january, 0): (1, 1),
    }


def test_the_ratio_is_the_share_of_the_cohort() -> None:
    rows = cohorts((1, "2011-01-01"), (2, "2011-01-01"), (3, "2011-01-01"), (1, "2011-02-01"))
    assert one(rows, months_since_first=0)["active_ratio"] == 1.0
    assert one(rows, months_since_first=1)["active_ratio"] == pytest.approx(1 / 3)


def test_a_customer_counts_once_a_month_however_often_seen() -> None:
    assert active(cohorts((1, "2011-01-01"), (1, "2011-01-01"), (1, "2011-01-31"))) == {(day("2011-01-01"), 0): (1, 1)}


def test_lines_arrive_in_any_order() -> None:
    assert active(cohorts((1, "2011-03-01"), (1, "2010-12-01"))) == {
        (day("2010-12-01"), 0): (1, 1),
        (day("2010-12-01"), 3): (1, 1),
    }


def test_lines_that_name_nobody_belong_to_no_cohort() -> None:
    rows = cohorts((None, "2010-12-01"), (1, "2011-01-01"), (None, "2011-01-01"))
    assert active(rows) == {(day("2011-01-01"), 0): (1, 1)}


def test_without_customers_there_are_no_cohorts() -> None:
    assert cohorts() == []
    assert cohorts((None, "2011-01-01")) == []
