"""The macros that give DuckDB what Spark has."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest

from dataplatform.engines.macros import MACRO_NAMES, MACROS


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2011-01-15 12:00:00", "2011-01-15 12:00:00"),
        ("2011-07-15 12:00:00", "2011-07-15 11:00:00"),
        ("2011-10-30 00:59:59", "2011-10-29 23:59:59"),
        ("2011-10-30 01:30:00", "2011-10-30 00:30:00"),
        ("2011-10-30 02:00:00", "2011-10-30 02:00:00"),
        ("2011-03-27 00:59:59", "2011-03-27 00:59:59"),
        ("2011-03-27 02:00:00", "2011-03-27 01:00:00"),
    ],
)
def test_local_time_is_utc_at_both_clock_changes_and_a_repeated_hour_takes_the_earlier_instant(
    local: str, utc: str
) -> None:
    with duckdb.connect() as connection:
        for statement in ("SET TimeZone = 'UTC'", *MACROS):
            connection.execute(statement)
        found = connection.execute(f"SELECT to_utc_timestamp(TIMESTAMP '{local}', 'Europe/London')").fetchone()
    assert found == (dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC),)


def test_the_names_of_macros_are_those_that_are_created() -> None:
    with duckdb.connect() as connection:
        for statement in MACROS:
            connection.execute(statement)
        created = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'macro' AND NOT internal"
        ).fetchall()
    assert {name for (name,) in created} == MACRO_NAMES
