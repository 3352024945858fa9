"""Commands that only look."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplatform_tests.command import call
from dataplatform_tests.published import PublishedLake


@pytest.fixture
def lake(tmp_path: Path) -> PublishedLake:
    found = PublishedLake(tmp_path)
    found.fill()
    return found


def test_tables_are_listed_with_what_is_published(lake: PublishedLake) -> None:
    result = call(lake.settings, "tables")
    assert result.exit_code == 0
    listed = {line.split()[0]: line.split()[1:5] for line in result.stdout.splitlines()[2:]}
    assert listed["raw.raw_sales"] == ["day", "0", "0", "never"]
    assert listed["dimensional.fact_sales"] == ["day", "5", "10", "2011-02-01T06:00:00+00:00"]
    assert listed["dimensional.dim_customer"][:3] == ["none", "1", "2"]


def test_a_table_is_described_as_people_read_it(lake: PublishedLake) -> None:
    text = call(lake.settings, "describe", "fact_sales").stdout
    assert text.startswith("dimensional.fact_sales  (version 1.0.0)\n  The fact_sales of a test.\n")
    for said in (
        "  slices:     by day of business_date\n",
        "  owner:      tests@example.com\n",
        "  net_amount     DECIMAL(18,3)  yes     GBP            The net_amount.\n",
        "  raw_sales  raw_sales  same\n",
        "  sale_key:required       error     required\n",
        "  5 partitions (2011-01-01..2011-01-05), 10 rows; last by run run-1 at 2011-02-01T06:00:00+00:00\n",
    ):
        assert said in text


def test_what_was_never_published_says_how_it_is_made(lake: PublishedLake) -> None:
    assert call(lake.settings, "describe", "raw_sales").stdout.endswith("never; make it with `dataplatform run`\n")


def test_private_columns_are_named_as_such(lake: PublishedLake) -> None:
    assert "confidential  The customer_id." in call(lake.settings, "describe", "dimensional.dim_customer").stdout


def test_an_unknown_table_gets_one_line_with_the_nearest_names(lake: PublishedLake) -> None:
    result = call(lake.settings, "describe", "fact_sale")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "no table called 'fact_sale'; did you mean fact_sales, raw_sales, daily_sales?\n"


def test_settings_show_where_each_value_came_from(lake: PublishedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLATFORM_BUSINESS_ZONE", "UTC")
    lines = call(lake.settings, "settings").stdout.splitlines()
    shown = {line.split("  ")[0]: line.split() for line in lines[2:]}
    assert shown["DATAPLATFORM_DATA_DIR"][1:3] == [str(lake.settings.data_dir), "argument"]
    assert shown["DATAPLATFORM_BUSINESS_ZONE"][1:3] == ["UTC", "environment"]
    assert shown["DATAPLATFORM_MEMORY_LIMIT"][1:3] == ["1GB", "default"]


def test_an_empty_end_date_before_the_command_means_today(lake: PublishedLake) -> None:
    text = call(lake.settings, "--end-date", "", "settings").stdout
    (line,) = [line for line in text.splitlines() if "END_DATE" in line]
    assert line.split()[1] == "argument"
