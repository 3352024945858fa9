"""Surrogate keys of dimensions: what they are made of, and the members and days with a fixed meaning."""

from __future__ import annotations

import datetime as dt
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

UNKNOWN_KEY = 0
"""Key of the row every dimension keeps for facts whose member it does not know."""

FIRST_DAY = dt.date(1900, 1, 1)
"""Start of every member's first version, so that a late delivery never moves the start of a history."""

OPEN_END = dt.date(9999, 12, 31)
"""End of every member's newest version. A NULL end would make range joins fifty times slower."""

_HEX_DIGITS = 15


def surrogate_key(natural_id: ir.Value, valid_from: ir.Value | None = None) -> ir.IntegerValue:
    """A BIGINT from the first 60 bits of SHA-256 over the natural id and the first day of the version.

    Members without versions take `FIRST_DAY`. No engine-neutral cast reads hexadecimal text, so the number is
    added up digit by digit: dimensions are small, and the result is the same everywhere.
    """
    start = ibis.literal(FIRST_DAY) if valid_from is None else valid_from
    digest = (natural_id.cast("string") + "|" + start.cast("string")).hexdigest("sha256")
    digits = ibis.literal("0123456789abcdef")
    places = [digits.find(digest.substr(place, 1)) * 16 ** (_HEX_DIGITS - 1 - place) for place in range(_HEX_DIGITS)]
    return reduce(add, places)


def date_key(day: ir.DateValue) -> ir.IntegerValue:
    """The key of a day in `dim_date`: the number yyyymmdd."""
    return (day.year() * 10_000 + day.month() * 100 + day.day()).cast("int32")


def unknown_member(key: str, **columns: ir.Value) -> ibis.Table:
    """The one row of a dimension that stands for what facts name and it does not know: `key` is `UNKNOWN_KEY`."""
    return ibis.literal(UNKNOWN_KEY, type="int64").name(key).as_table().mutate(**columns)
