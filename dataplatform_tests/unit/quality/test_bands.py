"""What is expected of a day: the season of the week, growth, and neither wild days nor still ones mislead."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from dataplatform.quality.bands import MEAN, QUANTILE, SHARE, VOLUME, Bands, Measure, judge_days

FIRST = date(2011, 1, 3)
WEEKS = 10
DAYS = [FIRST + timedelta(days=n) for n in range(7 * WEEKS) if (FIRST + timedelta(days=n)).weekday() != 5]
"""Ten weeks that are closed on Saturdays."""
NOISE = [1 + 0.03 * math.sin(7 * n) for n in range(len(DAYS))]


def judged(values: Any, measure: Measure, **arguments: Any) -> Bands:
    return judge_days(DAYS, np.array(values, dtype=float)[:, None], [measure], weeks=8, least_days=20, **arguments)


def anomalous(values: Any, measure: Measure, **arguments: Any) -> list[int]:
    """The numbers of the days that are anomalous."""
    return [int(n) for n in np.flatnonzero(judged(values, measure, **arguments).is_anomalous[:, 0])]


def volumes() -> list[float]:
    """Busy days of 1,000 rows, and Sundays of 300."""
    return [(300 if day.weekday() == 6 else 1000) * noise for day, noise in zip(DAYS, NOISE, strict=True)]


def test_a_quiet_sunday_is_as_sundays_are_and_a_monday_like_it_is_not() -> None:
    values = volumes()
    assert anomalous(values, VOLUME) == []
    monday = next(n for n, day in enumerate(DAYS) if n > 50 and day.weekday() == 0)
    values[monday] = 300
    assert anomalous(values, VOLUME) == [monday]


@pytest.mark.parametrize(("factor", "is_noticed"), [(0.9, False), (1.1, False), (0.4, True), (3.0, True)])
def test_volume_is_compared_by_ratio(factor: float, is_noticed: bool) -> None:
    values = volumes()
    values[-1] *= factor
    assert anomalous(values, VOLUME) == ([len(DAYS) - 1] if is_noticed else [])


def test_growth_is_followed() -> None:
    assert anomalous([value * 1.02**n for n, value in enumerate(volumes())], VOLUME) == []


def test_few_rows_vary_as_counting_does() -> None:
    assert anomalous([*[4.0] * (len(DAYS) - 1), 2.0], VOLUME) == []
    assert anomalous([*[400.0] * (len(DAYS) - 1), 200.0], VOLUME) == [len(DAYS) - 1]


def test_too_little_history_expects_nothing() -> None:
    found = judged([1000.0] * 19 + [5.0] * (len(DAYS) - 19), VOLUME)
    assert np.isnan(found.low[:20, 0]).all()
    assert not found.is_anomalous[:20].any()
    assert not np.isnan(found.low[20:, 0]).any()


def test_a_constant_history_allows_a_little_and_no_more() -> None:
    """Its deviations are 0, and any change would be infinitely many of them."""
    assert anomalous([*[0.2] * (len(DAYS) - 1), 0.3], SHARE) == []
    assert anomalous([*[0.2] * (len(DAYS) - 1), 0.4], SHARE) == [len(DAYS) - 1]
    assert anomalous([*[5.0] * (len(DAYS) - 1), 5.5], QUANTILE) == []
    assert anomalous([*[5.0] * (len(DAYS) - 1), 50.0], QUANTILE) == [len(DAYS) - 1]


def test_one_wild_day_does_not_hide_the_next() -> None:
    values = volumes()
    values[-3], values[-1] = values[-3] * 50, values[-1] * 0.3
    assert anomalous(values, VOLUME) == [len(DAYS) - 3, len(DAYS) - 1]


def test_days_without_a_value_are_no_history_and_are_not_judged() -> None:
    found = judged([math.nan] * len(DAYS), MEAN)
    assert not found.is_anomalous.any()
    assert np.isnan(found.high).all()
    gaps = [math.nan if n % 5 == 0 else 10.0 for n in range(len(DAYS))]
    assert anomalous(gaps, MEAN) == []


def test_numbers_around_zero_are_compared_by_difference() -> None:
    small = [0.2 * math.sin(n) for n in range(len(DAYS))]
    assert anomalous(small, QUANTILE) == []
    assert anomalous([*small[:-1], -400.0], QUANTILE) == [len(DAYS) - 1]


def test_what_comes_after_a_day_changes_nothing_about_it() -> None:
    whole = judged(volumes(), VOLUME)
    part = judge_days(DAYS[:50], np.array(volumes()[:50])[:, None], [VOLUME], weeks=8, least_days=20)
    assert np.array_equal(whole.low[:50], part.low, equal_nan=True)


def test_of_a_day_that_stays_out_what_is_published_counts() -> None:
    published = volumes()
    values = [value * 0.4 if n >= 50 else value for n, value in enumerate(published)]
    instead = np.array(published)[:, None]
    assert len(anomalous(values, VOLUME)) < len(DAYS) - 50, "what goes on long enough becomes usual"
    out = anomalous(values, VOLUME, instead=instead, stays_out=lambda _day, wrong: bool(wrong.any()))
    assert out == list(range(50, len(DAYS)))


def test_a_band_is_told_in_the_measures_own_terms() -> None:
    found = judged(volumes(), VOLUME)
    assert 600 < found.low[-2, 0] < 1000 < found.high[-2, 0] < 1500
    shares = judged([0.01] * len(DAYS), SHARE)
    assert (shares.low[-1, 0], round(shares.high[-1, 0], 2)) == (0.0, 0.19)
