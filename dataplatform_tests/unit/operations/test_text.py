"""Plain text for people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dataplatform.operations.text import count, ranges, table

DAYS = [f"2011-01-{day:02d}" for day in range(1, 11)]


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    text = table(("name", "rows"), [("orders", 1234567), ("x", 5)], indent="")
    assert text.splitlines() == ["name         rows", "------  ---------", "orders  1,234,567", "x               5"]


def test_money_keeps_its_places() -> None:
    assert table(("amount",), [(Decimal("-1234.500"),)], indent="").splitlines()[-1] == "-1,234.500"


def test_a_table_without_rows_is_its_headers() -> None:
    assert table(("a", "b"), []) == "  a  b\n  -  -"


def test_missing_values_are_empty_and_lines_are_kept_whole() -> None:
    assert table(("a", "b"), [(None, "x\ny"), (True, False)], indent="").splitlines()[2:] == ["     x y", "yes"]


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_counts_agree_with_their_words(number: int, said: str) -> None:
    assert count(number, "row") == said


def test_neighbours_among_the_keys_are_one_range() -> None:
    assert ranges({DAYS[0], DAYS[1], DAYS[2], DAYS[5]}, DAYS) == "2011-01-01..2011-01-03, 2011-01-06"


def test_of_many_ranges_only_the_ends_are_told() -> None:
    assert ranges(DAYS[::2], DAYS, most=2) == "2011-01-01..2011-01-09, with gaps"


def test_an_unpartitioned_table_has_no_range() -> None:
    assert ranges({"all"}, ("all",)) == ""
