"""The days on which a source delivers: closed by weekday, season, Easter Sunday or public holiday.

Pure calendar; files are not looked at here.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from dataplatform.errors import PermanentError

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LEAP_YEAR, _SUNDAY = "2024", 6


class OpeningDays(BaseModel):
    """The `closed` part of a landing source; nothing given means open every day.

    `ranges` are seasons of every year, `MM-DD/MM-DD`, both ends closed; one may pass the turn of the year.
    `holidays` is a country or a subdivision as the library `holidays` knows it, such as `GB` or `GB-ENG`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekdays: tuple[Weekday, ...] = ()
    holidays: str | None = None
    easter_sunday: bool = False
    ranges: tuple[str, ...] = ()

    @field_validator("ranges")
    @classmethod
    def _ranges_are_days(cls, ranges: tuple[str, ...]) -> tuple[str, ...]:
        for each in ranges:
            ends = each.split("/")
            try:
                written = [date.fromisoformat(f"{_LEAP_YEAR}-{end}").strftime("%m-%d") for end in ends]
            except ValueError:
                written = []
            if len(ends) != 2 or written != ends:
                raise ValueError(f"{each!r} is not a range of days; write one such as 12-24/01-03")
        return ranges

    def is_closed(self, day: date) -> bool:
        """Whether no delivery is expected on `day`. The dearest question is asked last."""
        return (
            _WEEKDAYS[day.weekday()] in self.weekdays
            or any(_within(day, each) for each in self.ranges)
            or (self.easter_sunday and _is_easter_sunday(day))
            or (self.holidays is not None and day in _public_holidays(self.holidays, day.year))
        )


def _within(day: date, span: str) -> bool:
    first, last = span.split("/")
    month_day = day.strftime("%m-%d")
    return first <= month_day <= last if first <= last else month_day >= first or month_day <= last


def _is_easter_sunday(day: date) -> bool:
    if day.weekday() != _SUNDAY or day.month not in (3, 4):
        return False
    import pandas as pd

    return pd.offsets.Easter().is_on_offset(pd.Timestamp(day))


@cache
def _public_holidays(place: str, year: int) -> Container[date]:
    """The public holidays of a place in one year. Importing the library and a country costs 0.5 CPU seconds."""
    import holidays

    country, _, subdivision = place.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
    except NotImplementedError as error:
        raise PermanentError(f"closed.holidays: no public holidays are known for {place!r}: {error}") from error
