"""The calendar: one row per day, with its ISO week, its place in the fiscal year and the bank holidays of a region."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
from ibis import _

from dataplatform.tables._keys import date_key

if TYPE_CHECKING:
    import ibis.expr.types as ir

_MONTHS = 12
_SATURDAY = 6


def dim_date(
    raw_reference_bank_holidays: ibis.Table,
    *,
    calendar_start_date: str,
    calendar_end_date: str,
    fiscal_year_start_month: int,
    bank_holiday_region: str,
) -> ibis.Table:
    """Every day from the first to the last, both included."""
    days = _days(dt.date.fromisoformat(calendar_start_date), dt.date.fromisoformat(calendar_end_date))
    in_region = raw_reference_bank_holidays.filter(_.region == bank_holiday_region)
    holidays = in_region.group_by("holiday_date").aggregate(bank_holiday_name=_.name.min())
    calendar = days.left_join(holidays, days.calendar_date == holidays.holiday_date)
    fiscal_month = (days.month_of_year + _MONTHS - fiscal_year_start_month) % _MONTHS + 1
    return calendar.select(
        date_key(days.calendar_date).name("date_key"),
        "calendar_date",
        "calendar_year",
        days.calendar_date.quarter().name("quarter_of_year"),
        "month_of_year",
        days.calendar_date.strftime("%B").name("month_name"),
        ibis.date(days.calendar_year, days.month_of_year, 1).name("month_start_date"),
        days.calendar_date.day().name("day_of_month"),
        days.calendar_date.day_of_year().name("day_of_year"),
        iso_year(days).name("iso_year"),
        "iso_week",
        "day_of_week",
        days.calendar_date.day_of_week.full_name().name("day_name"),
        fiscal_year(days, fiscal_year_start_month).name("fiscal_year"),
        ((fiscal_month + 2) // 3).name("fiscal_quarter"),
        fiscal_month.name("fiscal_month"),
        (days.day_of_week >= _SATURDAY).name("is_weekend"),
        _.bank_holiday_name.notnull().name("is_bank_holiday"),
        "bank_holiday_name",
    )


def iso_year(days: ibis.Table) -> ir.IntegerValue:
    """The year whose week it is: early January may lie in the last week of the old year, late December in the first."""
    is_old_years = (days.month_of_year == 1) & (days.iso_week > 50)
    is_new_years = (days.month_of_year == _MONTHS) & (days.iso_week == 1)
    return days.calendar_year + ibis.cases((is_old_years, -1), (is_new_years, 1), else_=0)


def fiscal_year(days: ibis.Table, start_month: int) -> ir.IntegerValue:
    """The fiscal year, named after the calendar year in which it ends."""
    if start_month == 1:
        return days.calendar_year
    return days.calendar_year + (days.month_of_year >= start_month).cast("int32")


def _days(first: dt.date, last: dt.date) -> ibis.Table:
    offsets = ibis.range(0, (last - first).days + 1).unnest().name("days_since_first").as_table()
    start = ibis.timestamp(f"{first} 00:00:00")
    days = offsets.select((_.days_since_first.as_interval("D") + start).date().name("calendar_date"))
    return days.mutate(
        calendar_year=_.calendar_date.year(),
        month_of_year=_.calendar_date.month(),
        iso_week=_.calendar_date.week_of_year(),
        day_of_week=_.calendar_date.day_of_week.index() + 1,
    )
