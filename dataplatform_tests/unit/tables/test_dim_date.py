"""dimensional.dim_date: the calendar, the ISO week, the fiscal year and bank holidays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from dataplatform_tests.unit.tables.making import Row, contract, day, make, one


def calendar(first: str, last: str, holidays: Sequence[Row] = (), **settings: Any) -> list[Row]:
    bounds = {"calendar_start_date": first, "calendar_end_date": last}
    rows = make("dim_date", {**bounds, **settings}, raw_reference_bank_holidays=holidays)
    return sorted(rows, key=lambda row: row["calendar_date"])


def holiday(on: str, name: str, region: str = "GB-ENG") -> Row:
    return {"holiday_date": day(on), "name": name, "region": region}


def test_a_day_says_everything_about_itself() -> None:
    (row,) = calendar("2011-12-09", "2011-12-09")
    assert row == {
        "date_key": 20111209,
        "calendar_date": day("2011-12-09"),
        "calendar_year": 2011,
        "quarter_of_year": 4,
        "month_of_year": 12,
        "month_name": "December",
        "month_start_date": day("2011-12-01"),
        "day_of_month": 9,
        "day_of_year": 343,
        "iso_year": 2011,
        "iso_week": 49,
        "day_of_week": 5,
        "day_name": "Friday",
        "fiscal_year": 2012,
        "fiscal_quarter": 3,
        "fiscal_month": 9,
        "is_weekend": False,
        "is_bank_holiday": False,
        "bank_holiday_name": None,
    }


def test_every_day_between_the_two_ends_is_there_once() -> None:
    days = [row["calendar_date"] for row in calendar("2011-12-30", "2012-03-02")]
    assert days == [day("2011-12-30") + timedelta(days=n) for n in range(64)]


def test_weeks_months_and_keys_are_those_of_the_standard_calendar() -> None:
    for row in calendar("2004-12-20", "2016-01-10"):
        on: date = row["calendar_date"]
        assert (row["iso_year"], row["iso_week"], row["day_of_week"]) == tuple(on.isocalendar())
        assert row["date_key"] == int(on.strftime("%Y%m%d"))
        assert (row["day_name"], row["month_name"]) == (on.strftime("%A"), on.strftime("%B"))
        assert row["day_of_year"] == on.timetuple().tm_yday
        assert row["is_weekend"] == (on.weekday() >= 5)
        assert row["month_start_date"] == on.replace(day=1)


@pytest.mark.parametrize(
    ("start", "on", "year", "quarter", "month"),
    [
        (4, "2011-03-31", 2011, 4, 12),
        (4, "2011-04-01", 2012, 1, 1),
        (4, "2011-12-31", 2012, 3, 9),
        (1, "2011-01-01", 2011, 1, 1),
        (1, "2011-12-31", 2011, 4, 12),
        (12, "2011-11-30", 2011, 4, 12),
        (12, "2011-12-01", 2012, 1, 1),
    ],
)
def test_the_fiscal_year_starts_where_the_setting_says_and_is_named_after_its_end(
    start: int, on: str, year: int, quarter: int, month: int
) -> None:
    (row,) = calendar(on, on, fiscal_year_start_month=start)
    assert (row["fiscal_year"], row["fiscal_quarter"], row["fiscal_month"]) == (year, quarter, month)


def test_bank_holidays_of_the_region_are_named_and_others_are_not() -> None:
    holidays = [
        holiday("2011-04-25", "Easter Monday"),
        holiday("2011-04-29", "Wedding of William and Catherine"),
        holiday("2011-04-28", "Somewhere else", region="GB-SCT"),
    ]
    rows = calendar("2011-04-25", "2011-04-29", holidays)
    assert [row["bank_holiday_name"] for row in rows if row["is_bank_holiday"]] == [
        "Easter Monday",
        "Wedding of William and Catherine",
    ]
    assert one(rows, date_key=20110428)["bank_holiday_name"] is None


def test_two_names_for_one_day_make_one_day() -> None:
    twice = [holiday("2011-04-25", "B"), holiday("2011-04-25", "A")]
    assert [row["bank_holiday_name"] for row in calendar("2011-04-25", "2011-04-25", twice)] == ["A"]


def test_the_shipped_calendar_holds_the_ledger() -> None:
    settings = contract("dim_date").settings
    first, last = settings["calendar_start_date"], settings["calendar_end_date"]
    assert all(first <= on <= last for on in ("2010-12-01", "2011-12-09"))
