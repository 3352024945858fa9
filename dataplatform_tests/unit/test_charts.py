"""Charts: small enough to be stored with every run, equal for equal rows, and right about what they draw."""

from __future__ import annotations

import base64
import re
from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from dataplatform.charts import chart_for, daily_svg, money_tick, monthly_svg, trailing_means

DAYS = [date(2010, 12, 1) + timedelta(days=n) for n in range(1200)]


def daily(days: list[date]) -> pa.Table:
    net = [Decimal((n * 7919) % 50_000) - 2_000 for n in range(len(days))]
    return pa.table({"business_date": days, "net_amount": pa.array(net, pa.decimal128(18, 3)), "line_count": net})


def picture(markdown: str) -> bytes:
    match = re.fullmatch(r"!\[[^\]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert match is not None
    return base64.b64decode(match[1])


def test_daily_sales_get_a_picture_inside_markdown() -> None:
    chart = chart_for("daily_sales", daily(DAYS[:300]))
    assert chart is not None
    assert picture(chart).startswith(b"\x89PNG")
    assert "Net sales per day in GBP, 2010-12-01 to 2011-09-26" in chart


def test_the_picture_stays_small_however_many_days_there_are() -> None:
    chart = chart_for("daily_sales", daily(DAYS))
    assert chart is not None
    assert len(chart) < 60_000


@pytest.mark.parametrize("days", [DAYS[:1], DAYS[:2]])
def test_a_day_or_two_can_be_drawn(days: list[date]) -> None:
    assert chart_for("daily_sales", daily(days)) is not None


def test_a_table_without_rows_or_without_a_chart_has_none() -> None:
    assert chart_for("daily_sales", daily([])) is None
    assert chart_for("customer_metrics", daily(DAYS[:3])) is None


def test_the_mean_is_over_the_days_with_sales_among_the_last_seven() -> None:
    days = [date(2011, 1, day) for day in (1, 2, 7, 8, 20)]
    assert trailing_means(days, [7.0, 14.0, 21.0, 28.0, 5.0]) == [7.0, 10.5, 14.0, 21.0, 5.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "£0"), (40_000, "£40k"), (1_500_000, "£1.5M"), (-2_000, "\N{MINUS SIGN}£2k"), (2_500, "£2.5k"), (900, "£900")],
)
def test_axes_speak_of_pounds(value: float, text: str) -> None:
    assert money_tick(value) == text


@pytest.mark.parametrize("narrow", [True, False])
def test_an_svg_is_part_of_a_page_and_fills_its_place(*, narrow: bool) -> None:
    net = [float(n % 90) * 100 for n in range(400)]
    svg = daily_svg(DAYS[:400], net, narrow=narrow)
    assert svg == daily_svg(DAYS[:400], net, narrow=narrow)
    assert svg.startswith("<svg ")
    head = svg.split(">", 1)[0]
    assert "viewBox" in head
    assert " width=" not in head
    assert "<title>Net sales per day and their seven-day mean</title>" in svg
    assert len(svg) < 40_000


def test_months_show_what_was_cancelled() -> None:
    svg = monthly_svg([date(2010, 12, 1), date(2011, 1, 1)], [100.0, 200.0], [5.0, 10.0], narrow=False)
    assert "cancelled" in svg
    assert "2011" in svg
