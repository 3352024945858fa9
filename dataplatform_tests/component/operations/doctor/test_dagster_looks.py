"""The instance, its daemons, dead runs and leaked slots: each found, mended, and not found where all is well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.types import DaemonHeartbeat

from dataplatform.build import build_definitions
from dataplatform.operations import dead_runs
from dataplatform.operations.doctor.dagster_looks import agreement
from dataplatform.operations.doctor.patient import Patient
from dataplatform.operations.instance import open_instance
from dataplatform.settings import Settings, utc_now
from dataplatform_tests import small_shop, victims
from dataplatform_tests.command import call
from dataplatform_tests.component.operations.doctor.conftest import kinds, look


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as opened:
        yield opened


def start_run(instance: dg.DagsterInstance, pid: int, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    run: dg.DagsterRun = create_run_for_test(instance, job_name="close_day", status=status)
    data = EngineEventData({"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("Started process for run", run, data)
    return run.run_id


@pytest.fixture
def dead_pid() -> int:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


@pytest.mark.parametrize("file", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_damaged_file_of_the_instance_is_found(settings: Settings, file: str) -> None:
    assert kinds(settings, "instance files") == []
    path = settings.dagster_home / file
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * 4096 + whole[4196:])
    assert kinds(settings, "instance files") == ["instance_damaged"]


def test_a_damaged_log_of_one_run_is_a_warning(settings: Settings) -> None:
    log = next(path for path in (settings.dagster_home / "history/runs").glob("*.db") if len(path.stem) == 36)
    log.write_bytes(b"no database" * 500)
    (found,) = look(settings, "instance files").findings
    assert (found.severity.value, found.mend) == ("warning", f"move {log} away")


def test_an_instance_that_dagster_does_not_open_is_one_finding(settings: Settings) -> None:
    (settings.dagster_home / "dagster.yaml").write_text("run_storage: [\n")
    found = look(settings, "instance", "daemons", "stuck runs", "pool slots")
    assert [each.kind.value for each in found.findings] == ["instance_damaged"]
    assert found.skipped["daemons"] == "the instance cannot be opened"


def test_what_mends_a_damaged_instance_mends_it(settings: Settings, tmp_path: Path) -> None:
    (settings.dagster_home / "history/runs.db").write_bytes(b"no database" * 500)
    shutil.move(settings.dagster_home, tmp_path / "away")
    assert call(settings, "run").exit_code == 0
    assert kinds(settings, "instance files", "instance") == []


def test_another_instance_in_the_environment_is_found(settings: Settings, tmp_path: Path) -> None:
    with ExitStack() as opened:
        for home, found in ((str(settings.dagster_home), 0), ("/elsewhere", 1)):
            patient = Patient(settings, build_definitions, opened, folder=tmp_path, environ={"DAGSTER_HOME": home})
            assert len(list(agreement(patient))) == found


def test_a_daemon_that_gives_no_sign_of_life_is_found(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert kinds(settings, "daemons") == []
    now = utc_now().timestamp()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now, "SENSOR", "here", []))
    assert kinds(settings, "daemons") == []
    instance.add_daemon_heartbeat(DaemonHeartbeat(now - 3600, "SENSOR", "here", []))
    found = look(settings, "daemons")
    assert [each.kind.value for each in found.findings] == ["daemon_dead"]
    assert (found.exit_code, found.findings[0].mend) == (1, "dataplatform up")


@pytest.mark.parametrize(
    ("status", "ended"),
    [("STARTED", "FAILURE"), ("STARTING", "FAILURE"), ("CANCELING", "CANCELED")],
)
def test_a_run_whose_process_is_gone_is_found_and_ended_on_demand(
    settings: Settings, instance: dg.DagsterInstance, dead_pid: int, status: str, ended: str
) -> None:
    """Pain 20: a killed run does not stay at work for ever, also where no daemon looks."""
    run_id = start_run(instance, dead_pid, dg.DagsterRunStatus(status))
    alive = start_run(instance, os.getpid())
    (found,) = look(settings, "stuck runs").findings
    assert found.what == f"run {run_id} stands as {status}, but its process {dead_pid} is gone"
    assert look(settings, "stuck runs", fix=True).exit_code == 0
    assert (run := instance.get_run_by_id(run_id)) is not None
    assert run.status.value == ended
    assert kinds(settings, "stuck runs") == []
    assert (run := instance.get_run_by_id(alive)) is not None
    assert run.status is dg.DagsterRunStatus.STARTED


def test_slots_of_ended_runs_are_found_and_freed_and_those_of_others_stay(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("warehouse", 3)
    alive = start_run(instance, os.getpid())
    ended = start_run(instance, os.getpid(), dg.DagsterRunStatus.FAILURE)
    for run_id in (alive, ended, "forgotten"):
        assert storage.claim_concurrency_slot("warehouse", run_id, "step").is_claimed
    assert {each.what for each in look(settings, "pool slots").findings} == {
        f"run {ended} ended (FAILURE) and holds or awaits 1 slot of warehouse",
        "run forgotten is forgotten and holds or awaits 1 slot of warehouse",
    }
    assert look(settings, "pool slots", fix=True).exit_code == 0
    assert kinds(settings, "pool slots") == []
    assert {slot.run_id for slot in storage.get_concurrency_info("warehouse").claimed_slots} == {alive}


def test_a_dead_run_gives_its_slots_back_with_its_end(
    settings: Settings, instance: dg.DagsterInstance, dead_pid: int
) -> None:
    run_id = start_run(instance, dead_pid)
    instance.event_log_storage.set_concurrency_slots("warehouse", 1)
    instance.event_log_storage.claim_concurrency_slot("warehouse", run_id, "step")
    assert kinds(settings, "stuck runs", "pool slots", fix=True) == ["run_stuck"]
    assert instance.event_log_storage.get_concurrency_info("warehouse").active_slot_count == 0


def test_a_run_killed_in_the_middle_is_found_ended_and_made_up_for(tmp_path: Path) -> None:
    """Pain 20: with a real `kill -9`, found by the process that its events name."""
    settings = small_shop.make_shop(tmp_path)
    with open_instance(settings) as instance:
        victim = victims.start(settings, "run", output=tmp_path / "output")
        started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        while victim.wait(0.02) is None:
            if any(dead_runs._processes(instance, run.run_id) for run in instance.get_runs(started)):
                break
        victim.kill()
        assert instance.get_runs_count(started) == 1
    found = look(settings, "stuck runs")
    assert [each.kind.value for each in found.findings] == ["run_stuck"]
    assert found.findings[0].what.endswith(f"its process {victim.pid} is gone")
    assert call(settings, "doctor", "--fix", "--exit-code").exit_code == 0
    assert call(settings, "run").exit_code == 0
    assert kinds(settings, "stuck runs", "pool slots", "slices") == ["file_missing"]
