"""Which days a source is closed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from dataplatform.errors import PermanentError
from dataplatform.sources.opening_days import OpeningDays


def closed_days(opening: OpeningDays, first: date, last: date) -> list[date]:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if opening.is_closed(day)]


def test_without_a_calendar_every_day_is_open() -> None:
    assert closed_days(OpeningDays(), date(2011, 12, 20), date(2012, 1, 5)) == []


def test_a_weekday_is_closed_every_week() -> None:
    closed = closed_days(OpeningDays(weekdays=("saturday",)), date(2011, 1, 1), date(2011, 1, 14))
    assert closed == [date(2011, 1, 1), date(2011, 1, 8)]


def test_a_season_passes_the_turn_of_the_year_and_includes_both_ends() -> None:
    closed = closed_days(OpeningDays(ranges=("12-30/01-02",)), date(2010, 12, 1), date(2011, 2, 1))
    assert closed == [date(2010, 12, 30), date(2010, 12, 31), date(2011, 1, 1), date(2011, 1, 2)]


def test_a_season_within_a_year_stays_within_it() -> None:
    closed = closed_days(OpeningDays(ranges=("02-28/03-01",)), date(2012, 1, 1), date(2012, 12, 31))
    assert closed == [date(2012, 2, 28), date(2012, 2, 29), date(2012, 3, 1)]


@pytest.mark.parametrize("easter", [date(2008, 3, 23), date(2010, 4, 4), date(2011, 4, 24), date(2038, 4, 25)])
def test_easter_sunday_is_the_only_sunday_of_spring_that_is_closed(easter: date) -> None:
    opening = OpeningDays(easter_sunday=True)
    assert closed_days(opening, date(easter.year, 3, 1), date(easter.year, 5, 1)) == [easter]


def test_bank_holidays_of_a_region_include_one_off_ones() -> None:
    opening = OpeningDays(holidays="GB-ENG")
    spring = closed_days(opening, date(2011, 4, 1), date(2011, 5, 31))
    wedding = date(2011, 4, 29)
    assert spring == [date(2011, 4, 22), date(2011, 4, 25), wedding, date(2011, 5, 2), date(2011, 5, 30)]


def test_a_region_without_known_holidays_is_named() -> None:
    with pytest.raises(PermanentError, match=r"closed\.holidays: no public holidays are known for 'XX-NO'"):
        OpeningDays(holidays="XX-NO").is_closed(date(2011, 1, 4))


@pytest.mark.parametrize("wrong", ["12-24", "12-24/", "02-30/03-01", "1-1/01-02", "12-24/01-02/01-03", "24-12/01-03"])
def test_a_season_that_is_no_range_of_days_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is not a range of days; write one such as 12-24/01-03"):
        OpeningDays(ranges=(wrong,))


def test_a_weekday_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="Input should be 'monday'"):
        OpeningDays.model_validate({"weekdays": ["caturday"]})
