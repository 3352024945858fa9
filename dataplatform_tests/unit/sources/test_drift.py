"""What is told of a delivery that is not as those before it, and what is not worth a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from dataplatform.sources.drift import USUAL, Seen, drift
from dataplatform.sources.profile import ColumnProfile, kind_of

USUALLY = {"Invoice": {"integer": 0.98, "text": 0.02}, "Price": {"decimal": 1.0}, "Note": {"empty": 0.6, "text": 0.4}}
Kinds = Mapping[str, Mapping[str, float]]


def seen(day: int, columns: Kinds = USUALLY, records: int = 500) -> Seen:
    profiles = [ColumnProfile(name, place, kinds) for place, (name, kinds) in enumerate(columns.items(), 1)]
    return Seen(f"2011-01-{day:02d}", records, {profile.name: profile for profile in profiles})


def told(columns: Kinds, before: Sequence[Seen] | None = None, day: int = 20, records: int = 500) -> list[str]:
    earlier = [seen(number) for number in range(1, 11)] if before is None else before
    return [str(found) for found in drift(seen(day, columns, records), earlier)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("17", "integer"),
        ("-3", "integer"),
        ("2.55", "decimal"),
        (".5", "decimal"),
        ("2,55", "decimal comma"),
        ("1.234,50", "decimal comma"),
        ("2011-01-04", "date YYYY-MM-DD"),
        ("2011-01-04 08:26:00", "time YYYY-MM-DD hh:mm"),
        ("2011-01-04T08:26:00Z", "time YYYY-MM-DD hh:mm"),
        ("04/01/2011", "date with slashes"),
        ("4/1/2011 8:26", "time with slashes"),
        ("04.01.2011", "date with dots"),
        ("85123A", "text"),
        ("1e" + "0" * 60, "text"),
    ],
)
def test_a_cell_is_of_the_narrowest_kind_that_covers_it(value: str, kind: str) -> None:
    assert kind_of(value) == kind


def test_a_delivery_like_those_before_it_is_no_news() -> None:
    assert told(USUALLY) == []


def test_the_first_delivery_of_all_has_nothing_to_differ_from() -> None:
    assert told({"Anything": {"text": 1.0}}, before=[]) == []


def test_another_order_of_the_columns_is_no_news() -> None:
    assert told(dict(reversed(USUALLY.items()))) == []


@pytest.mark.parametrize(
    ("price", "line"),
    [
        ({"integer": 1.0}, "integer in 100% of the cells, expected decimal"),
        ({"decimal": 0.7, "decimal comma": 0.3}, "decimal comma in 30% of the cells, expected decimal"),
        ({"empty": 1.0}, "every cell is empty, expected decimal"),
    ],
)
def test_another_kind_of_values_is_told_with_what_was_usual(price: Mapping[str, float], line: str) -> None:
    assert told({**USUALLY, "Price": price}) == [f"column 'Price': {line}, since 2011-01-20"]


def test_another_format_of_dates_is_told() -> None:
    before = [seen(day, {"Day": {"date YYYY-MM-DD": 1.0}}) for day in range(1, 8)]
    found = told({"Day": {"date with slashes": 1.0}}, before)
    assert found == ["column 'Day': date with slashes in 100% of the cells, expected date YYYY-MM-DD, since 2011-01-20"]


def test_a_few_cells_of_another_kind_and_moving_shares_are_no_news() -> None:
    assert told({**USUALLY, "Price": {"decimal": 0.9, "text": 0.1}}) == []
    assert told({**USUALLY, "Note": {"empty": 0.05, "text": 0.95}}) == []


def test_of_a_handful_of_records_nothing_is_said_about_kinds() -> None:
    assert told({**USUALLY, "Price": {"integer": 1.0}}, records=19) == []


def test_a_new_column_is_told_until_it_is_usual() -> None:
    history = [seen(day) for day in range(1, 11)]
    since = []
    for day in range(11, 16):
        columns = {**USUALLY, "Currency": {"text": 1.0}}
        since.append(told(columns, history, day))
        history.append(seen(day, columns))
    line = "column 'Currency': a new column, expected none of this name, since 2011-01-11"
    assert since == [[line]] * USUAL + [[]] * 2


def test_a_column_that_is_gone_is_told_a_few_times() -> None:
    history, less = [seen(day) for day in range(1, 11)], {name: USUALLY[name] for name in ("Invoice", "Price")}
    since = []
    for day in range(11, 16):
        since.append(told(less, history, day))
        history.append(seen(day, less))
    line = "column 'Note': gone, expected a column of this name, since 2011-01-11"
    assert since == [[line]] * USUAL + [[]] * 2


@pytest.mark.parametrize("name", ["Notes", "Remark"], ids=["by its name", "by its place and values"])
def test_a_column_that_was_likely_renamed_is_told_as_one(name: str) -> None:
    renamed = {**{k: v for k, v in USUALLY.items() if k != "Note"}, name: USUALLY["Note"]}
    assert told(renamed) == [f"column {name!r}: likely the new name of 'Note', expected 'Note', since 2011-01-20"]


def test_a_change_of_kinds_says_since_when() -> None:
    history = [*(seen(day) for day in range(1, 11)), seen(11, {**USUALLY, "Price": {"integer": 1.0}})]
    assert told({**USUALLY, "Price": {"integer": 1.0}}, history)[0].endswith("since 2011-01-11")
