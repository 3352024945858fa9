"""What a measure of a day is expected to be, from the days before it: robust, with the season of the week.

Pure numbers: a grid of days by measures goes in, a band and a verdict per cell come out. `docs/adr/0012` has the
method's figures. NumPy's medians are enough here; importing SciPy's statistics costs a new day a tenth of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np

LEVEL_DAYS = 12
"""The current level is the median of so many newest days: two weeks of a shop that is open six days a week."""
SEASON_DAYS = 3
"""From so many days of its weekday on, a day is expected to be as they were, and not as all days."""
SAME_WEEKDAYS = 5
"""From so many days of its weekday on, only how these varied matters where growth does not."""
_NORMAL_MAD, _NORMAL_90 = 1.4826, 1.6449
"""What makes a median, and a nine-tenths quantile, of absolute deviations a standard deviation of normal ones."""

_LARGEST = 300.0
Grid = Any
"""A two-dimensional array of floats: a row per day, a column per measure; NaN where there is no value."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How one series of numbers is judged.

    `scale`: `counts` are compared by ratio, and are never expected to be steadier than counting allows; `shares` by
    difference; `numbers` by ratio, through zero. `level` follows growth; without it only days of the same weekday
    count. A value is anomalous `strikes` deviations away, where a deviation is at least `least`.
    """

    scale: Literal["counts", "shares", "numbers"]
    level: bool
    strikes: float
    least: float


VOLUME = Measure("counts", level=True, strikes=2.75, least=0.1)
SHARE = Measure("shares", level=False, strikes=6, least=0.03)
QUANTILE = Measure("numbers", level=True, strikes=5, least=0.1)
MEAN = Measure("numbers", level=True, strikes=12, least=0.1)


@dataclass(frozen=True, slots=True)
class Bands:
    """Of each day and measure: what was expected between; NaN where there was too little to expect anything from."""

    low: Grid
    high: Grid
    is_anomalous: Grid


def judge_days(
    days: Sequence[date],
    values: Grid,
    measures: Sequence[Measure],
    *,
    weeks: int,
    least_days: int,
    instead: Grid | None = None,
    stays_out: Callable[[int, Grid], bool] = lambda _day, _anomalous: False,
) -> Bands:
    """The band of every cell, each from the days before it.

    `days` are in order; what is expected of one follows from the `weeks` before it, and from how wrong that was in
    them: it takes twice so many. Of a day that, by its number and verdicts, `stays_out` of the table, `instead` is what
    counts for those after it.
    """
    reach = timedelta(weeks=weeks)
    kinds = _Kinds.of(measures)
    seen: Grid = np.where(kinds.counts, _logs(values), values)
    low, high, errors = (np.full(seen.shape, np.nan) for _ in range(3))
    anomalous: Grid = np.zeros(seen.shape, dtype=bool)
    weekdays = np.array([day.weekday() for day in days])
    first = 0
    for number, day in enumerate(days):
        while days[first] < day - reach:
            first += 1
        unit = kinds.units(seen[first:number])
        # all that follows is in ratios, where numbers are: around zero they are differences
        before, today = kinds.ratios(seen[first:number], unit), kinds.ratios(seen[number], unit)
        same = before[weekdays[first:number] == weekdays[number]]
        expected, spread = kinds.expected(before, same, errors[first:number])
        floor = np.where(kinds.counts, np.maximum(kinds.least, np.exp(-np.nan_to_num(expected) / 2)), kinds.least)
        width = kinds.strikes * np.maximum(spread, floor)
        width[_number_of(before) < least_days] = np.nan
        anomalous[number] = np.abs(today - expected) > width
        errors[number] = np.abs(today - expected)
        low[number], high[number] = kinds.restored(expected - width, unit), kinds.restored(expected + width, unit)
        if instead is not None and stays_out(number, anomalous[number]):
            seen[number] = np.where(kinds.counts, _logs(instead[number]), instead[number])
            errors[number] = np.abs(kinds.ratios(seen[number], unit) - expected)
    return Bands(low, high, anomalous)


@dataclass(frozen=True)
class _Kinds:
    """The measures, as one array for each of their traits."""

    counts: Grid
    numbers: Grid
    level: Grid
    strikes: Grid
    least: Grid

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> _Kinds:
        return cls(
            np.array([measure.scale == "counts" for measure in measures]),
            np.array([measure.scale == "numbers" for measure in measures]),
            np.array([measure.level for measure in measures]),
            np.array([measure.strikes for measure in measures], dtype=float),
            np.array([measure.least for measure in measures], dtype=float),
        )

    def units(self, before: Grid) -> Grid:
        """The size of each series' usual value; ratios of numbers are taken around it."""
        usual = _quantile(np.abs(before), 0.5)
        return np.where(self.numbers & (usual > 0), usual, 1.0)

    def ratios(self, values: Grid, unit: Grid) -> Grid:
        return np.where(self.numbers, np.arcsinh(values / unit), values)

    def restored(self, values: Grid, unit: Grid) -> Grid:
        counts = np.exp(np.minimum(values, _LARGEST))
        numbers = np.sinh(np.clip(values, -_LARGEST, _LARGEST)) * unit
        return np.where(self.counts, counts, np.where(self.numbers, numbers, np.clip(values, 0.0, 1.0)))

    def expected(self, before: Grid, same: Grid, errors: Grid) -> tuple[Grid, Grid]:
        """What a day should be, and by how much such expectations were wrong lately."""
        usual, known = _quantile(before, 0.5), _number_of(same)
        season = np.where(known >= SEASON_DAYS, _quantile(same, 0.5), usual)
        growth = _quantile(before[-LEVEL_DAYS:], 0.5) - usual
        spread = _spread(errors)
        weekly = np.where(known >= SAME_WEEKDAYS, _spread(np.abs(same - season)), spread)
        return season + np.where(self.level, growth, 0.0), np.where(self.level, spread, weekly)


def _logs(values: Grid) -> Grid:
    return np.log(np.where(values > 0, values, np.nan))


def _number_of(values: Grid) -> Grid:
    return (~np.isnan(values)).sum(axis=0)


def _spread(deviations: Grid) -> Grid:
    """A standard deviation that neither one wild day in ten nor a series that mostly stands still leads astray."""
    return np.maximum(_quantile(deviations, 0.5) * _NORMAL_MAD, _quantile(deviations, 0.9) / _NORMAL_90)


def _quantile(values: Grid, share: float) -> Grid:
    """Per column, over the values there are: `numpy.nanquantile`, which takes fifty times as long on small grids."""
    ordered = np.sort(values, axis=0)  # NaN last
    if not len(ordered):
        return np.full(values.shape[1], np.nan)
    place = np.maximum(_number_of(ordered) - 1, 0) * share
    lower = np.floor(place).astype(int)
    upper = np.ceil(place).astype(int)
    columns = np.arange(values.shape[1])
    below, above = ordered[lower, columns], ordered[upper, columns]
    return below + (above - below) * (place - lower)
