"""The schedule: what each tick requests, what it leaves alone, and which days it sees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.automation.schedules import SCHEDULED, WAVE, WHOLE_GRAPH, _next_request, build_schedules
from dataplatform.build import build_definitions
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.in_dagster import QUIET, RANGE_END, RANGE_START, drop
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


def refuse(project: Project, day: str) -> None:
    """Lands a file of no bytes, which nobody can read."""
    drop(project, day)
    (project.settings.landing_folder / "orders" / f"{day}.csv").write_bytes(b"")


def run(project: Project, instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    """What Dagster's daemon does with a request, in this process."""
    job = build_definitions(project).resolve_implicit_global_asset_job_def()
    selection = list(request.asset_selection or [])
    return job.execute_in_process(
        run_config=QUIET, instance=instance, asset_selection=selection, tags=request.tags, raise_on_error=False
    ).success


def asked(project: Project, instance: dg.DagsterInstance, ticks: int = 10) -> list[str]:
    """Lets the schedule tick until it requests nothing; the first partitions of what it requested, in order."""
    days: list[str] = []
    for _ in range(ticks):
        request = _next_request(project, instance)
        if request is None:
            return days
        days.append(request.tags.get(RANGE_START, ""))
        run(project, instance, request)
    raise AssertionError(f"the schedule never ends: {days}")


def test_ticks_make_what_is_stale_and_then_ask_for_nothing(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    assert asked(shop, instance) == [D1, ""], "the tables, then the serving layer"
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D1]


def test_a_day_that_cannot_be_made_does_not_stop_the_schedule(shop: Project, instance: dg.DagsterInstance) -> None:
    refuse(shop, D1)
    drop(shop, D2, "2,7,UK,x")  # blocked one table further: every row would be quarantined
    drop(shop, D3, "3,7,UK,1")
    days = asked(shop, instance)
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D3]
    assert days[-1] == "", "the serving layer is reached"


def test_a_wave_that_failed_is_asked_for_again_when_its_file_changes(
    shop: Project, instance: dg.DagsterInstance
) -> None:
    refuse(shop, D1)
    first = _next_request(shop, instance)
    assert first is not None
    assert first.tags[RANGE_START] == D1
    instance.add_run(dg.DagsterRun(WHOLE_GRAPH, "a-run", status=dg.DagsterRunStatus.FAILURE, tags=first.tags))
    after = _next_request(shop, instance)
    assert after is None or RANGE_START not in after.tags, "it is left alone as it stands"
    drop(shop, D1, "1,7,UK,1")
    again = _next_request(shop, instance)
    assert again is not None
    assert again.tags[RANGE_START] == D1
    assert again.tags[WAVE] != first.tags[WAVE]


def test_nothing_is_requested_while_a_scheduled_run_is_at_work(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    instance.add_run(dg.DagsterRun(WHOLE_GRAPH, "a-run", status=dg.DagsterRunStatus.STARTED, tags={SCHEDULED: "true"}))
    (schedule,) = build_schedules(shop)
    assert isinstance(schedule, dg.ScheduleDefinition)
    told = schedule.evaluate_tick(dg.build_schedule_context(instance=instance))
    assert (told.run_requests, told.skip_message) == ([], "run a-run is still at work")


def test_a_project_that_follows_today_sees_the_next_day(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = [date(2011, 1, 2)]
    monkeypatch.setattr(Settings, "last_date", lambda _self, given=None: given or today[0])
    shop_tables(tmp_path)
    shop = load(tmp_path, end_date="")
    (schedule,) = build_schedules(shop)

    def newest() -> str:
        (request,) = schedule.evaluate_tick(dg.build_schedule_context(instance=instance)).run_requests or []
        return str(request.tags[RANGE_END])

    drop(shop, D2, "2,7,UK,1")
    drop(shop, D3, "3,7,UK,1")
    assert newest() == D2
    today[0] = date(2011, 1, 3)
    assert newest() == D3
