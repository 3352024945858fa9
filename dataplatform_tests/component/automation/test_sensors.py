"""The sensor: what each tick requests and what it leaves alone, until everything that can be made is made."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from dataplatform.assets import judging
from dataplatform.automation import requests
from dataplatform.automation.runs import PULSE, REQUESTED, WAVE
from dataplatform.automation.sensors import WHOLE_GRAPH, build_sensors
from dataplatform.build import build_definitions
from dataplatform.errors import SourceDownError
from dataplatform.operations.lock import run_lock
from dataplatform.operations.run import RunSummary, run_stale
from dataplatform.planner.patience import delay
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.in_dagster import QUIET, RANGE_END, RANGE_START, drop
from dataplatform_tests.shop import load, rows, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
RAW = "raw_shop_orders"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance"), {"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


class Sensor:
    """The sensor as the daemon asks it, and runs as the daemon launches them, in this process."""

    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self.project, self.instance = project, instance
        (self.definition,) = build_sensors(project)
        self._job = build_definitions(project).resolve_implicit_global_asset_job_def()

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        told = self.definition.evaluate_tick(dg.build_sensor_context(instance=self.instance))
        return list(told.run_requests or []), told.skip_message or ""

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return self._job.execute_in_process(
            run_config=QUIET, instance=self.instance, asset_selection=list(request.asset_selection or []),
            tags=request.tags, raise_on_error=False,
        )  # fmt: skip

    def settle(self, ticks: int = 12) -> list[dict[str, Any]]:
        """Ticks until nothing is requested; range, tables and success of what was run, in order."""
        ran: list[dict[str, Any]] = []
        for _ in range(ticks):
            asked, _ = self.tick()
            if not asked:
                return ran
            for request in asked:
                success = self.run(request).success
                tables = {key.path[-1] for key in request.asset_selection or ()}
                span = (request.tags.get(RANGE_START, ""), request.tags.get(RANGE_END, ""))
                ran.append({"range": span, "tables": tables, "success": success})
        raise AssertionError(f"the sensor never ends: {ran}")


@pytest.fixture
def sensor(shop: Project, instance: dg.DagsterInstance) -> Sensor:
    return Sensor(shop, instance)


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, request: dg.RunRequest, name: str) -> None:
    tables = frozenset(request.asset_selection or ())
    run = dg.DagsterRun(WHOLE_GRAPH, name, status=status, tags=dict(request.tags), asset_selection=tables)
    instance.add_run(run)


def touched(ran: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """The daily slices of what was run, each by its table and day."""
    daily = (RAW, "orders", "fact_orders", "daily_orders")
    return {
        (table, day)
        for each in ran
        for table in each["tables"]
        for day in (D1, D2, D3)
        if table in daily and each["range"][0] <= day <= each["range"][1]
    }


def days(ran: list[dict[str, Any]]) -> list[str]:
    return [each["range"][0] for each in ran]


# what is made


def test_ticks_make_what_is_stale_and_then_ask_for_nothing(shop: Project, sensor: Sensor) -> None:
    drop(shop, D1, "1,7,UK,1")
    assert days(sensor.settle()) == [D1, ""], "the tables, then the serving layer"
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D1]
    assert sensor.tick() == ([], "nothing is stale")


def test_a_corrected_file_asks_for_its_day_and_for_what_its_revision_changes_and_nothing_else(
    shop: Project, sensor: Sensor
) -> None:
    drop(shop, D1, "1,7,UK,1")
    drop(shop, D2, "2,7,UK,2", "3,8,FR,1")
    drop(shop, D3, "4,8,FR,3")
    sensor.settle()
    drop(shop, D2, "2,7,UK,2.0", "3,8,FR,1")  # other bytes, the same numbers
    assert touched(sensor.settle()) == {(RAW, D2), ("orders", D2)}
    drop(shop, D1, "1,7,ES,1")  # the buyer of D1 and D2 moves on D1: a change set of the dimension
    made = touched(sensor.settle())
    assert {day for table, day in made if table in (RAW, "orders")} == {D1}
    assert {day for table, day in made if table == "fact_orders"} == {D1, D2}, "not D3, a day without the buyer"
    assert {day for table, day in made if table == "daily_orders"} <= {D1, D2}
    assert len(make_plan(shop)) == 0


def test_ten_thousand_files_at_once_are_a_few_ranges_and_asked_for_in_seconds(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Pains 11, 12, 13 and 20: few runs that lose little when they die, in a fraction of a tick's 60 seconds."""
    shop_tables(tmp_path)
    shop = load(tmp_path, start_date="1984-01-01", end_date="2011-05-18")
    assert len(shop.days) == 10_000
    for day in shop.days:
        drop(shop, day, f"{day},7,UK,1")
    sensor = Sensor(shop, instance)
    started = time.perf_counter()
    asked, _ = sensor.tick()
    seconds = time.perf_counter() - started
    assert seconds < 20
    assert [request.tags[RANGE_START] for request in asked] == list(shop.days[:: requests.LONGEST_RANGE])
    assert asked[-1].tags[RANGE_END] == shop.days[-1]
    assert len({request.run_key for request in asked}) == len(asked)


def test_scattered_days_are_asked_for_at_once(shop: Project, sensor: Sensor) -> None:
    for day in (D1, D3, "2011-01-05"):
        drop(shop, day, f"{day},7,UK,1")
    asked, _ = sensor.tick()
    assert [request.tags[RANGE_START] for request in asked] == [D1, D3, "2011-01-05"]


def test_a_project_that_follows_today_sees_the_next_day(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = [date(2011, 1, 2)]
    monkeypatch.setattr("dataplatform.settings.Settings.today", lambda _self, _clock=None: today[0])
    shop_tables(tmp_path)
    shop = load(tmp_path, end_date="")
    sensor = Sensor(shop, instance)
    drop(shop, D2, "2,7,UK,1")
    drop(shop, D3, "3,7,UK,1")
    assert [request.tags[RANGE_END] for request in sensor.tick()[0]] == [D2]
    today[0] = date(2011, 1, 3)
    assert [request.tags[RANGE_END] for request in sensor.tick()[0]] == [D3]


# what fails


def test_a_day_that_cannot_be_made_holds_up_no_other_and_is_asked_for_once(shop: Project, sensor: Sensor) -> None:
    """Pain 12: the finished days of a range stay, and what failed is not tried again as it stands."""
    drop(shop, D1)
    (Path(str(shop.settings.landing)) / "orders" / f"{D1}.csv").write_bytes(b"")
    drop(shop, D2, "2,7,UK,x")  # blocked one table further: every row would be quarantined
    drop(shop, D3, "3,7,UK,1")
    made = sensor.settle()
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D3]
    tried = [each for each in made if RAW in each["tables"]]
    assert [each["range"] for each in tried] == [(D1, D3)], "the refused file is read once"
    asked, reason = sensor.tick()
    assert asked == []
    assert f"{RAW} {D1}: empty_file" in reason
    assert f"orders {D2}: " in reason
    drop(shop, D1, "1,7,UK,1")
    assert D1 in days(sensor.settle())
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D1, D3]


def test_a_source_that_is_down_is_asked_for_again_after_growing_delays(
    shop: Project, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")

    def down(*_: object, **__: object) -> Any:
        now = datetime.now(UTC)
        raise SourceDownError("the landing", "no answer", now, now)

    real = datetime
    later = [timedelta(0)]

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + later[0]

    monkeypatch.setattr(requests, "datetime", Later)
    with monkeypatch.context() as broken:
        broken.setattr(judging, "from_source", down)
        for tries in (1, 2):
            request = sensor.tick()[0][0]
            assert str(request.run_key).endswith(f":{tries}"), "attempts are numbered"
            assert not sensor.run(request).success
            assert [each for each in sensor.tick()[0] if RANGE_START in each.tags] == []
            later[0] += delay(tries) + timedelta(seconds=1)
    assert days(sensor.settle())[0] == D1
    assert len(rows(shop, "daily_orders")) == 1


def test_a_killed_run_is_ended_and_asked_for_again_with_the_next_number(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pain 20: a run whose process is gone does not stay at work for ever."""
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    add_run(instance, dg.DagsterRunStatus.STARTED, request, "killed")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run = instance.get_run_by_id("killed")
    assert run is not None
    data = EngineEventData({"pid": dg.MetadataValue.text(str(gone.pid))})
    instance.report_engine_event("Started process for run", run, data)
    assert [each for each in sensor.tick()[0] if RANGE_START in each.tags] == [], (
        "not at once: the machine may be at fault"
    )
    ended = instance.get_run_by_id("killed")
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    monkeypatch.setattr(requests, "delay", lambda _tries: timedelta(0))
    (again,), _ = sensor.tick()
    assert again.tags[WAVE] == request.tags[WAVE]
    assert str(again.run_key) == str(request.run_key).removesuffix(":1") + ":2"


# who else is at work


def at_work(instance: dg.DagsterInstance, request: dg.RunRequest, name: str) -> None:
    """A run of this process, which is alive."""
    add_run(instance, dg.DagsterRunStatus.STARTED, request, name)
    run = instance.get_run_by_id(name)
    assert run is not None
    data = EngineEventData({"pid": dg.MetadataValue.text(str(os.getpid()))})
    instance.report_engine_event("Started process for run", run, data)


def test_nothing_is_requested_while_a_requested_run_is_at_work(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    at_work(instance, request, "a-run")
    assert sensor.tick() == ([], "run a-run is still at work")


def test_what_a_person_is_making_is_left_to_them_and_the_rest_is_asked_for(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    drop(shop, D1, "1,7,UK,1")
    drop(shop, D3, "3,7,UK,1")
    by_hand = dg.RunRequest(asset_selection=[dg.AssetKey(["raw", RAW])], tags={RANGE_START: D1, RANGE_END: D2})
    at_work(instance, by_hand, "by-hand")
    assert [request.tags[RANGE_START] for request in sensor.tick()[0]] == [D3]


def test_nothing_is_requested_while_a_command_holds_the_data_folder(shop: Project, sensor: Sensor) -> None:
    drop(shop, D1, "1,7,UK,1")
    with run_lock(shop.settings.data_dir):
        assert sensor.tick() == ([], f"process {os.getpid()} is at work in the data folder")
    assert len(sensor.tick()[0]) == 1


def test_a_look_at_the_lock_never_refuses_a_run_its_folder(shop: Project, sensor: Sensor) -> None:
    drop(shop, D1, "1,7,UK,1")
    for _ in range(20):
        sensor.tick()
        with run_lock(shop.settings.data_dir):
            pass


def test_what_a_person_canceled_has_its_peace_for_an_hour(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    at_work(instance, request, "canceled")
    run = instance.get_run_by_id("canceled")
    assert run is not None
    instance.report_run_canceling(run)
    instance.report_run_canceled(run)
    drop(shop, D2, "2,7,UK,1")
    assert [request.tags[RANGE_START] for request in sensor.tick()[0]] == [D2], "other days go on"
    real = datetime

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + timedelta(hours=1, minutes=1)

    monkeypatch.setattr(requests, "datetime", Later)
    assert [request.tags[RANGE_START] for request in sensor.tick()[0]] == [D1]


def test_a_run_that_ended_with_its_services_is_asked_for_again(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    at_work(instance, request, "stopped")
    run = instance.get_run_by_id("stopped")
    assert run is not None
    instance.report_run_canceled(run)
    monkeypatch.setattr(requests, "delay", lambda _tries: timedelta(0))
    assert len(sensor.tick()[0]) == 1


# nothing twice


def made_by(instance: dg.DagsterInstance) -> list[str]:
    return [run.run_id for run in instance.get_runs() if instance.all_logs(run.run_id, of_type=_MADE)]


_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


def test_a_run_of_a_second_daemon_does_nothing_twice(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    assert sensor.run(request).success
    again = instance.get_run_by_id(sensor.run(request).run_id)
    assert again is not None
    assert again.status is dg.DagsterRunStatus.CANCELED
    assert len(made_by(instance)) == 1


def test_what_a_command_made_between_request_and_run_is_not_made_again(
    shop: Project, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    assert command(shop, instance).exit_code == 0
    before = made_by(instance)
    sensor.run(request)
    assert made_by(instance) == before


def command(shop: Project, instance: dg.DagsterInstance) -> RunSummary:
    with run_lock(shop.settings.data_dir):
        return run_stale(shop, build_definitions, instance)


def test_a_look_that_finds_everything_as_it_was_plans_nothing(
    shop: Project, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")
    sensor.settle()
    sensor.tick()
    planned = []
    monkeypatch.setattr(requests, "make_plan", lambda *_, **__: planned.append(1))
    assert sensor.tick() == ([], "nothing is stale")
    assert planned == []
    monkeypatch.undo()
    drop(shop, D2, "2,7,UK,1")
    assert len(sensor.tick()[0]) == 1


def test_files_that_changed_since_they_were_loaded_are_not_run_before_they_are_loaded(
    tmp_path: Path, shop: Project, sensor: Sensor
) -> None:
    drop(shop, D1, "1,7,UK,1")
    path = tmp_path / "tables" / "aggregate" / "daily_orders.py"
    os.utime(path, (time.time() + 5, time.time() + 5))
    told = "aggregate/daily_orders.py changed since this code location was loaded; reload it"
    assert sensor.tick() == ([], told)


# how it starts


def test_every_sensor_and_schedule_starts_on_unless_it_is_named(shop: Project) -> None:
    def states(project: Project) -> dict[str, str]:
        repository = build_definitions(project).get_repository_def()
        found = {each.name: each.default_status.value for each in repository.sensor_defs}
        return found | {each.name: each.default_status.value for each in repository.schedule_defs}

    on = states(shop)
    assert {"keep_current", "daily_close", "monthly_close", "daily_checks"} <= on.keys()
    assert set(on.values()) == {"RUNNING"}
    for name in on:
        settings = shop.settings.model_copy(update={"automation_off": name})
        off = states(replace(shop, settings=settings))
        assert {each for each, state in off.items() if state != "RUNNING"} == {name}


def test_a_name_that_nothing_bears_is_refused_with_the_nearest(shop: Project) -> None:
    settings = shop.settings.model_copy(update={"automation_off": "keep_curent"})
    with pytest.raises(Exception, match=r"AUTOMATION_OFF\) called 'keep_curent'; did you mean keep_current\?"):
        build_definitions(replace(shop, settings=settings))


def test_requests_carry_what_their_run_looks_at(shop: Project, sensor: Sensor) -> None:
    drop(shop, D1, "1,7,UK,1")
    (request,), _ = sensor.tick()
    assert request.tags[REQUESTED] == "true"
    assert str(request.run_key) == f"{D1}:{request.tags[WAVE]}:1"
    assert request.tags[PULSE]
