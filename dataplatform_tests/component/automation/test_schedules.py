"""Closes: when they are due by the business's clock, what they close, and that they catch up and never work twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._utils.schedules import cron_string_iterator

from dataplatform.automation.runs import CLOSES
from dataplatform.automation.schedules import (
    CLOSE_DAY,
    CLOSE_MONTH,
    DAILY_CLOSE,
    MONTHLY_CLOSE,
    Period,
    build_schedules,
    day_before,
    month_before,
)
from dataplatform.build import build_definitions
from dataplatform.project import Project
from dataplatform_tests.in_dagster import QUIET, drop
from dataplatform_tests.shop import load, rows, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance"), {"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def schedules(project: Project) -> dict[str, dg.ScheduleDefinition]:
    return {schedule.name: schedule for schedule in build_schedules(project)}


# when


@pytest.mark.parametrize(
    ("close", "start", "ticks"),
    [
        (
            "06:00",
            datetime(2011, 3, 26, 5, tzinfo=UTC),
            ["26T06:00:00+00:00", "27T05:00:00+00:00", "28T05:00:00+00:00"],
        ),
        (
            "06:00",
            datetime(2011, 10, 29, 4, tzinfo=UTC),
            ["29T05:00:00+00:00", "30T06:00:00+00:00", "31T06:00:00+00:00"],
        ),
        # 01:30 does not exist on the 27th of March: the close comes when the clock has passed it, once
        (
            "01:30",
            datetime(2011, 3, 26, 1, tzinfo=UTC),
            ["26T01:30:00+00:00", "27T01:00:00+00:00", "28T00:30:00+00:00"],
        ),
        # 01:30 comes twice on the 30th of October: one close, the second time
        (
            "01:30",
            datetime(2011, 10, 29, 0, tzinfo=UTC),
            ["29T00:30:00+00:00", "30T01:30:00+00:00", "31T01:30:00+00:00"],
        ),
        (
            "00:00",
            datetime(2011, 3, 26, 1, tzinfo=UTC),
            ["27T00:00:00+00:00", "27T23:00:00+00:00", "28T23:00:00+00:00"],
        ),
    ],
)
def test_a_close_keeps_its_local_time_over_both_clock_changes(
    shop: Project, close: str, start: datetime, ticks: list[str]
) -> None:
    given = shop.settings.model_copy(update={"daily_close": close})
    daily = schedules(Project(given, shop.catalog, shop.functions, shop.bindings, shop.last_date))[DAILY_CLOSE]
    assert daily.execution_timezone == "Europe/London"
    due = cron_string_iterator(start.timestamp(), str(daily.cron_schedule), daily.execution_timezone)
    found = [next(due).astimezone(UTC).isoformat() for _ in ticks]
    assert [each[len("2011-03-") :] for each in found] == ticks


def test_a_month_is_closed_on_the_first_day_of_the_next(shop: Project) -> None:
    assert schedules(shop)[MONTHLY_CLOSE].cron_schedule == "0 6 1 * *"
    assert month_before(date(2011, 3, 1)) == Period(first="2011-02-01", last="2011-02-28")
    assert month_before(date(2012, 1, 1)) == Period(first="2011-12-01", last="2011-12-31")
    assert day_before(date(2011, 3, 1)) == Period(last="2011-02-28")


# what


def tick(project: Project, name: str, instance: dg.DagsterInstance, at: datetime) -> Any:
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
    return schedules(project)[name].evaluate_tick(context)


def close(project: Project, instance: dg.DagsterInstance, name: str, at: datetime) -> dg.ExecuteInProcessResult:
    """The tick that is due at an instant, and its run in this process."""
    (request,) = tick(project, name, instance, at).run_requests
    job = {DAILY_CLOSE: CLOSE_DAY, MONTHLY_CLOSE: CLOSE_MONTH}[name]
    run_config = {**QUIET, **request.run_config}
    definition = build_definitions(project).resolve_job_def(job)
    return definition.execute_in_process(run_config=run_config, instance=instance, raise_on_error=False)


def problem(result: dg.ExecuteInProcessResult) -> str:
    (event,) = (each for each in result.all_events if each.is_step_failure)
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return str(data.description)


def closed(project: Project) -> list[str]:
    return [str(row[0]) for row in rows(project, "daily_orders", "business_date")]


def test_a_close_makes_all_days_that_are_over_in_order_and_no_later_one(
    shop: Project, instance: dg.DagsterInstance
) -> None:
    for number, day in enumerate((D1, D2, D3)):
        drop(shop, day, f"{number},7,UK,1")
    at = datetime(2011, 1, 3, 6, tzinfo=UTC)  # nothing was made for two days: the daemon was down
    assert close(shop, instance, DAILY_CLOSE, at).success
    assert closed(shop) == [D1, D2]
    assert close(shop, instance, DAILY_CLOSE, datetime(2011, 1, 4, 6, tzinfo=UTC)).success
    assert closed(shop) == [D1, D2, D3]


def test_a_close_late_in_the_evening_by_universal_time_is_of_the_local_day(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path, business_zone="Pacific/Auckland")
    (request,) = tick(shop, DAILY_CLOSE, instance, datetime(2011, 1, 2, 17, tzinfo=UTC)).run_requests
    assert request.run_config["ops"]["close"]["config"]["last"] == "2011-01-02", "it is the 3rd there"


def test_a_close_that_cannot_make_a_slice_fails_and_says_which(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    drop(shop, D2, "2,7,UK,x")
    result = close(shop, instance, DAILY_CLOSE, datetime(2011, 1, 3, 6, tzinfo=UTC))
    assert not result.success
    assert problem(result).startswith(f"cleaned.orders {D2}: ")
    assert closed(shop) == [D1], "the other days are closed"


def test_a_month_with_a_day_that_never_came_is_not_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path, end_date="2011-01-31")
    for day in shop.days:
        if day != D2:
            drop(shop, day, f"{day},7,UK,1")
    at = datetime(2011, 2, 1, 6, tzinfo=UTC)
    assert problem(close(shop, instance, MONTHLY_CLOSE, at)) == f"raw_shop_orders: no file on {D2}"
    drop(shop, D2, "2,7,UK,1")
    assert close(shop, instance, MONTHLY_CLOSE, at).success
    assert len(closed(shop)) == 31


# not twice


def test_a_close_is_skipped_while_its_own_run_is_at_work(shop: Project, instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(CLOSE_DAY, "closing", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    instance.report_engine_event("here", run, EngineEventData({"pid": dg.MetadataValue.text(str(os.getpid()))}))
    told = tick(shop, DAILY_CLOSE, instance, datetime(2011, 1, 3, 6, tzinfo=UTC))
    assert (told.run_requests, told.skip_message) == ([], "run closing is still at work")


def test_after_the_last_day_of_all_a_close_is_skipped_when_nothing_is_stale(
    shop: Project, instance: dg.DagsterInstance
) -> None:
    told = tick(shop, DAILY_CLOSE, instance, datetime(2011, 3, 1, 6, tzinfo=UTC))
    assert told.skip_message == "the last business day is 2011-01-10, and everything is up to date"
    drop(shop, D1, "1,7,UK,1")
    assert len(tick(shop, DAILY_CLOSE, instance, datetime(2011, 3, 1, 6, tzinfo=UTC)).run_requests) == 1


def test_the_automation_knows_its_closes() -> None:
    assert {CLOSE_DAY, CLOSE_MONTH} == CLOSES
