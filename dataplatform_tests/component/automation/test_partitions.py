"""Which partitions there are: up to today in the business's zone, up to the end date where one is set, none besides."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from dataplatform.assets.definition import build_assets
from dataplatform.build import build_definitions
from dataplatform.errors import PermanentError
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.in_dagster import drop, materialize
from dataplatform_tests.shop import load, rows, shop_tables

LONDON, AUCKLAND = ZoneInfo("Europe/London"), ZoneInfo("Pacific/Auckland")


class Clock:
    """The clock of a world that is played, in its file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"

    def show(self, now: datetime) -> None:
        self.file.write_text(now.isoformat(), encoding="utf-8")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def shop(folder: Path, clock: Clock, now: datetime, **settings: Any) -> Project:
    clock.show(now)
    shop_tables(folder)
    return load(folder, clock=clock.file, **settings)


def in_dagster(project: Project, now: datetime) -> list[str]:
    """The daily partitions that Dagster shows at an instant."""
    [days] = {asset.partitions_def for asset in build_assets(project) if asset.partitions_def is not None}
    with partition_loading_context(effective_dt=now):
        return list(days.get_partition_keys())


@pytest.mark.parametrize(
    ("zone", "before", "midnight"),
    [
        (LONDON, datetime(2011, 3, 26, 23, 59, 59, tzinfo=LONDON), datetime(2011, 3, 27, tzinfo=LONDON)),
        (LONDON, datetime(2011, 3, 27, 23, 59, 59, tzinfo=LONDON), datetime(2011, 3, 28, tzinfo=LONDON)),
        (LONDON, datetime(2011, 6, 30, 23, 59, 59, tzinfo=LONDON), datetime(2011, 7, 1, tzinfo=LONDON)),
        (LONDON, datetime(2011, 10, 30, 23, 59, 59, tzinfo=LONDON), datetime(2011, 10, 31, tzinfo=LONDON)),
        (AUCKLAND, datetime(2011, 12, 31, 23, 59, 59, tzinfo=AUCKLAND), datetime(2012, 1, 1, tzinfo=AUCKLAND)),
    ],
)
def test_a_new_day_begins_at_midnight_in_the_businesss_zone_also_for_a_running_code_location(
    tmp_path: Path, clock: Clock, zone: ZoneInfo, before: datetime, midnight: datetime
) -> None:
    loaded = shop(tmp_path, clock, before, end_date="", business_zone=zone.key)
    for now in (before, midnight):
        clock.show(now)
        running = loaded.current()
        assert running.days[-1] == now.date().isoformat()
        assert in_dagster(loaded, now) == list(running.days), "definitions that were loaded the day before"


def test_a_day_that_began_while_the_code_location_ran_is_made(tmp_path: Path, clock: Clock) -> None:
    loaded = shop(tmp_path, clock, datetime(2011, 1, 2, 12, tzinfo=LONDON), end_date="")
    build_definitions(loaded)
    drop(loaded, "2011-01-03", "3,7,UK,1")
    assert not make_plan(loaded.current()).slices_of("raw_shop_orders"), "a file that came before its day"
    clock.show(datetime(2011, 1, 3, 0, 0, 1, tzinfo=LONDON))
    assert make_plan(loaded.current()).slices_of("raw_shop_orders") == ["2011-01-03"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(loaded, instance, "raw_shop_orders", ("2011-01-03", "2011-01-03")).success
    assert len(rows(loaded, "raw_shop_orders")) == 1


def test_partitions_stop_at_an_end_date_that_has_passed(tmp_path: Path, clock: Clock) -> None:
    now = datetime(2011, 2, 1, tzinfo=LONDON)
    loaded = shop(tmp_path, clock, now)
    assert (loaded.days[0], loaded.days[-1]) == ("2011-01-01", "2011-01-10")
    assert in_dagster(loaded, now) == list(loaded.days)


def test_until_an_end_date_comes_no_day_is_shown_that_cannot_have_come(tmp_path: Path, clock: Clock) -> None:
    now = datetime(2011, 1, 4, 23, 59, tzinfo=LONDON)
    loaded = shop(tmp_path, clock, now)
    assert loaded.days[-1] == "2011-01-04"
    assert in_dagster(loaded, now) == list(loaded.days)


def test_a_file_is_missing_when_its_day_is_over_and_not_before(tmp_path: Path, clock: Clock) -> None:
    loaded = shop(tmp_path, clock, datetime(2011, 1, 2, 23, 59, 59, tzinfo=LONDON), end_date="")
    assert make_plan(loaded.current()).missing_files == {"raw_shop_orders": ["2011-01-01"]}
    clock.show(datetime(2011, 1, 3, tzinfo=LONDON))
    assert make_plan(loaded.current()).missing_files == {"raw_shop_orders": ["2011-01-01", "2011-01-02"]}


def test_the_last_day_of_all_is_missing_when_it_is_over(tmp_path: Path, clock: Clock) -> None:
    loaded = shop(tmp_path, clock, datetime(2011, 1, 2, 23, 59, 59, tzinfo=LONDON), end_date="2011-01-02")
    assert make_plan(loaded.current()).missing_files == {"raw_shop_orders": ["2011-01-01"]}
    clock.show(datetime(2011, 1, 3, tzinfo=LONDON))
    assert make_plan(loaded.current()).missing_files == {"raw_shop_orders": ["2011-01-01", "2011-01-02"]}


def test_a_clock_that_cannot_be_read_is_named(tmp_path: Path, clock: Clock) -> None:
    loaded = shop(tmp_path, clock, datetime(2011, 1, 2, tzinfo=LONDON), end_date="")
    clock.file.write_text("noon", encoding="utf-8")
    with pytest.raises(PermanentError, match=r"DATAPLATFORM_CLOCK=.*/clock: holds no time such as 2011-12-09T12:00"):
        loaded.current()
