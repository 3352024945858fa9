"""Judging each day's profile against those of the days before it, and saying what was expected.

How a band comes about is `bands.py`, what is measured `profiles.py`. A day without rows has no profile: whether it
should have rows is a matter of freshness. Too little history passes, and says so.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.anomaly_rules import DISTINCT, MEAN, NULLS, QUANTILES, VALUES, VOLUME
from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform.quality.profiles import ROWS, Profiles, Series
from dataplatform.quality.results import Course, RuleResult
from dataplatform.quality.scope import Scope

if TYPE_CHECKING:
    from dataplatform.quality.bands import Bands, Measure

FEW_ROWS = 30
"""Shares and quantiles of fewer rows say little: they are not judged, and are not part of the history."""
SURE_ROWS = 20
"""A value of which so many rows were to be expected is not missing by chance."""
_STATISTICS = {NULLS: ("null_share",), DISTINCT: ("distinct_share",), MEAN: ("mean",), QUANTILES: ("p25", "p50", "p75")}


def first_day_read(first: str, rules: Sequence[Rule]) -> str:
    """The first day whose profile matters to the partition `first`: a band takes two windows, see `bands.py`."""
    weeks = max(int(rule.arguments["weeks"]) for rule in rules)
    return (date.fromisoformat(first) - timedelta(weeks=2 * weeks)).isoformat()


def judge_anomalies(
    scope: Scope, profiles: Profiles, published: Profiles, rows: Mapping[str, int], failed: Collection[str]
) -> list[RuleResult]:
    """Every anomaly rule in every partition of the scope.

    `profiles` are the candidate's, `published` what is published of it and of the days before. Days that have `failed`
    already, or fail here, do not go out: for those after them, what is published counts.
    """
    rules = scope.contract.rules_of(RuleKind.ANOMALIES)
    if not rules:
        return []
    empty = [
        RuleResult(rule, name, passed=True, expected="rows to compare", found="no rows", failed_rows=0, checked_rows=0)
        for rule in rules
        for name in scope.partitions
        if name not in profiles
    ]
    if not profiles:
        return empty
    history = _History.of(rules, profiles, published, failed)
    judged = [
        _result(history, rule, places, name, rows[name])
        for rule in rules
        for places in [history.of_rule(rule)]
        for name in scope.partitions
        if name in profiles
    ]
    return judged + empty


@dataclass(frozen=True)
class _History:
    """The days there are, everything measured of them, and the band of each."""

    names: Sequence[str]
    days: Mapping[str, int]
    series: Mapping[Series, int]
    values: Any
    bands: Bands

    @classmethod
    def of(cls, rules: Sequence[Rule], profiles: Profiles, published: Profiles, failed: Collection[str]) -> _History:
        from dataplatform.quality.bands import judge_days

        days = sorted({*profiles, *published})
        measured = dict.fromkeys(
            series for each in (published, profiles) for day in sorted(each) for series in each[day]
        )
        series = {each: number for number, each in enumerate(each for each in measured if _is_of(each, rules))}
        values, instead = _grid(days, series, {**published, **profiles}), _grid(days, series, published)
        blocking = any(rule.severity is Severity.ERROR for rule in rules)
        arguments = rules[0].arguments

        def stays_out(number: int, anomalous: Any) -> bool:
            return days[number] in profiles and (days[number] in failed or (blocking and bool(anomalous.any())))

        bands = judge_days(
            [date.fromisoformat(day) for day in days],
            _telling(values, series),
            [_measure(each) for each in series],
            weeks=int(arguments["weeks"]),
            least_days=int(arguments["days"]),
            instead=_telling(instead, series),
            stays_out=stays_out,
        )
        return cls(days, {day: number for number, day in enumerate(days)}, series, values, bands)

    def of_rule(self, rule: Rule) -> list[tuple[Series, int]]:
        return [(series, place) for series, place in self.series.items() if _is_of(series, [rule])]

    def vanished(self, rule: Rule, places: Sequence[tuple[Series, int]], day: int) -> list[str]:
        """The values that are not there, and were on each of the last weeks' days.

        Only where that is no chance: so many rows of them were to be expected, or they are one row each.
        """
        if rule.test != VALUES:
            return []
        absent = [(series, place) for series, place in places if not self.values[day, place] > 0]
        start = date.fromisoformat(self.names[day]) - timedelta(weeks=int(rule.arguments["weeks"]))
        first = bisect_left(self.names, start.isoformat())
        if not absent or day - first < int(rule.arguments["days"]):
            return []
        import numpy as np

        rows, gone = self.values[:, self.series[Series("", ROWS)]], []
        for series, place in absent:
            share = self.values[first:day, place]
            if (share > 0).all():
                due = float(np.median(share)) * rows[day]
                each_is_one = float((share * rows[first:day]).max()) < 2
                gone += [series.value] if due >= SURE_ROWS or each_is_one else []
        return gone

    def course(self, series: Series, day: int) -> Course:
        """The series over the days up to this one, with their bands, to be drawn."""
        place, first = self.series[series], max(0, day - 60)
        numbers = range(first, day + 1)
        low, high = self.bands.low, self.bands.high
        return Course(
            _named(series),
            tuple(self.names[n] for n in numbers),
            tuple(float(self.values[n, place]) for n in numbers),
            tuple(float(low[n, place]) for n in numbers),
            tuple(float(high[n, place]) for n in numbers),
        )


def _is_of(series: Series, rules: Sequence[Rule]) -> bool:
    """Whether one of the rules judges this series."""
    for rule in rules:
        if rule.test == VOLUME and series.statistic == ROWS:
            return True
        if rule.columns == (series.column,) and (
            series.statistic in _STATISTICS.get(rule.test, ()) or (rule.test == VALUES and bool(series.value))
        ):
            return True
    return False


def _grid(days: Sequence[str], series: Mapping[Series, int], profiles: Profiles) -> Any:
    """A row per day, a column per series; NaN where nothing was measured, and 0 as the share of what did not occur."""
    import numpy as np

    found = np.full((len(days), len(series)), np.nan)
    shares = [place for each, place in series.items() if each.value]
    for number, day in enumerate(days):
        profile = profiles.get(day)
        if profile is not None:
            found[number, shares] = 0.0
            for each, value in profile.items():
                if each in series:
                    found[number, series[each]] = value
    return found


def _telling(values: Any, series: Mapping[Series, int]) -> Any:
    """The grid without the shares and quantiles of days of few rows."""
    import numpy as np

    rows = values[:, [series[Series("", ROWS)]]]
    always = np.array([each.statistic in (ROWS, "mean") for each in series])
    return np.where(always | (rows >= FEW_ROWS), values, np.nan)


def _measure(series: Series) -> Measure:
    from dataplatform.quality import bands

    if series.statistic == ROWS:
        return bands.VOLUME
    if series.statistic == "mean":
        return bands.MEAN
    return bands.QUANTILE if series.statistic in _STATISTICS[QUANTILES] else bands.SHARE


def _result(
    history: _History, rule: Rule, places: Sequence[tuple[Series, int]], partition: str, rows: int
) -> RuleResult:
    day = history.days[partition]
    judged = [
        (series, place) for series, place in places if history.bands.low[day, place] == history.bands.low[day, place]
    ]
    gone = history.vanished(rule, places, day)
    wrong = [(series, place) for series, place in judged if history.bands.is_anomalous[day, place]]
    is_good = not wrong and not gone
    if not judged and not gone:
        expected = [f"{rule.arguments['days']} days of the last {rule.arguments['weeks']} weeks to compare with"]
        return RuleResult(rule, partition, is_good, expected[0], "fewer", 0, rows)
    shown = wrong or judged[:3]
    expected = [
        f"{_named(s)} {_text(s, history.bands.low[day, p])} to {_text(s, history.bands.high[day, p])}" for s, p in shown
    ]
    found = [f"{_named(s)} {_text(s, history.values[day, p])}" for s, p in shown]
    named = {series.value for series, _ in wrong}
    expected += [f"{value} as on every day before" for value in gone if value not in named]
    found += [f"no {value}" for value in gone if value not in named]
    course = history.course(wrong[0][0], day) if wrong else None
    return RuleResult(rule, partition, is_good, "; ".join(expected), "; ".join(found), 0, rows, course=course)


def _named(series: Series) -> str:
    """`rows`, `null share`, `p50`, `share of France`."""
    if series.value:
        return f"share of {series.value}"
    return series.statistic.replace("_", " ")


def _text(series: Series, value: float) -> str:
    if series.statistic == ROWS:
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{100 * value:.3g}%" if series.statistic.endswith("share") else f"{value:.4g}"
