"""aggregate.customer_metrics: orders, scores and the stage of every customer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dataplatform_tests.unit.tables.making import Row, day, make, one, sale


def metrics(*lines: Row, **settings: Any) -> list[Row]:
    return make("customer_metrics", settings, fact_sales=lines)


def scores(rows: list[Row], name: str) -> dict[int, int]:
    return {row["customer_id"]: row[name] for row in rows}


def test_a_customer_is_summed_up_over_all_lines() -> None:
    rows = metrics(
        sale("2011-01-10", net="10.000", invoice_no="1"),
        sale("2011-01-10", net="5.000", invoice_no="1"),
        sale("2011-02-10", net="20.001", invoice_no="2"),
        sale("2011-03-10", net="-4.000", invoice_no="C3", line_type="cancellation"),
        sale("2011-03-11", customer_id=None),
    )
    assert rows == [
        {
            "customer_id": 17850,
            "order_count": 2,
            "lifetime_amount": Decimal("31.001"),
            "first_order_date": day("2011-01-10"),
            "last_order_date": day("2011-02-10"),
            "recency_score": 1,
            "frequency_score": 1,
            "monetary_score": 1,
            "lifecycle_stage": "engaged",
        }
    ]


def test_a_customer_who_only_cancelled_has_a_row_without_orders() -> None:
    row = one(metrics(sale(net="-4.000", line_type="cancellation")), customer_id=17850)
    assert (row["order_count"], row["first_order_date"], row["last_order_date"]) == (0, None, None)
    assert row["lifetime_amount"] == Decimal("-4.000")


def test_scores_run_from_1_for_the_least_to_5_for_the_most() -> None:
    lines = [
        sale(f"2011-01-{9 + number:02}", net=f"{110 - 10 * number}.000", customer_id=number, invoice_no=f"{number}-{n}")
        for number in range(1, 11)
        for n in range(11 - number)
    ]
    rows = metrics(*lines)
    upwards = {number: (number + 1) // 2 for number in range(1, 11)}
    assert scores(rows, "recency_score") == upwards
    assert scores(rows, "frequency_score") == {number: 6 - score for number, score in upwards.items()}
    assert scores(rows, "monetary_score") == {number: 6 - score for number, score in upwards.items()}


def test_equals_are_told_apart_by_their_number_in_whatever_order_lines_arrive() -> None:
    lines = [sale(customer_id=number) for number in range(1, 11)]
    expected = {number: (number + 1) // 2 for number in range(1, 11)}
    for rows in (metrics(*lines), metrics(*reversed(lines))):
        for name in ("recency_score", "frequency_score", "monetary_score"):
            assert scores(rows, name) == expected


def test_who_never_ordered_ordered_longest_ago() -> None:
    never = sale("2011-12-01", customer_id=9, net="-1.000", line_type="cancellation")
    rows = metrics(never, *(sale(f"2011-01-{n:02}", customer_id=n) for n in range(1, 5)))
    assert scores(rows, "recency_score") == {9: 1, 1: 2, 2: 3, 3: 4, 4: 5}


@pytest.mark.parametrize(
    ("first", "stage"),
    [
        ("2011-12-09", "new"),
        ("2011-12-03", "new"),
        ("2011-12-02", "active"),
        ("2011-11-10", "active"),
        ("2011-11-09", "engaged"),
        ("2011-09-11", "engaged"),
        ("2011-09-10", "dormant"),
        ("2010-12-01", "dormant"),
    ],
)
def test_the_stage_counts_days_from_the_first_line_to_the_last_business_day(first: str, stage: str) -> None:
    rows = metrics(sale(first), sale("2011-12-09", customer_id=None))
    assert one(rows, customer_id=17850)["lifecycle_stage"] == stage


def test_the_first_line_counts_for_the_stage_even_when_it_is_no_order() -> None:
    cancelled = sale("2011-09-10", net="-1.000", line_type="cancellation")
    assert one(metrics(cancelled, sale("2011-12-09")), customer_id=17850)["lifecycle_stage"] == "dormant"


def test_the_thresholds_of_stages_are_settings() -> None:
    lines = (sale("2011-12-01"), sale("2011-12-09", customer_id=None))
    for settings, stage in (
        ({"new_days": 9}, "new"),
        ({"active_days": 8}, "engaged"),
        ({"engaged_days": 8, "active_days": 8}, "dormant"),
    ):
        assert one(metrics(*lines, **settings), customer_id=17850)["lifecycle_stage"] == stage


def test_without_customers_there_are_no_metrics() -> None:
    assert metrics() == []
    assert metrics(sale(customer_id=None)) == []
