"""Failed ticks of sensors and schedules, as Dagster's own daemon leaves them."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.sensor import execute_sensor_iteration

from dataplatform.operations.alerts.problem import Problem, scrubbed
from dataplatform.operations.alerts.runs import Watched, dagster_problems
from dataplatform_tests.component.operations.alerts.conftest import NOW

CODE = """
from pathlib import Path
import dagster as dg
from dataplatform.errors import PermanentError

@dg.job
def nothing(): ...

@dg.sensor(job=nothing, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def landing():
    wanted = Path({flag!r}).read_text()
    if wanted == "own":
        raise PermanentError("the landing cannot be listed: postgresql://me:hunter2@db/x")
    if wanted == "foreign":
        raise ValueError("alice@example.com cannot be parsed")
    return dg.SkipReason("nothing arrived")

defs = dg.Definitions(jobs=[nothing], sensors=[landing])
"""


def tick(workspace: object, instance: DagsterInstance) -> list[Problem]:
    """One iteration of the sensor daemon, then what is wrong."""
    list(execute_sensor_iteration(workspace, logging.getLogger("tick"), None, None))  # type: ignore[arg-type]
    return dagster_problems(instance, Watched(instigators=frozenset({"landing"})), NOW)


def test_a_failed_tick_is_told_until_a_tick_ends_well_and_shows_no_secret(
    tmp_path: Path, instance: DagsterInstance
) -> None:
    """Pains 16 and 19: a sensor that fails reaches somebody, and its error is told without what it quotes."""
    flag, code = tmp_path / "flag", tmp_path / "code.py"
    code.write_text(CODE.replace("{flag!r}", repr(str(flag))), encoding="utf-8")
    target = PythonFileTarget(str(code), None, str(tmp_path), "code")
    with create_test_daemon_workspace_context(target, instance) as workspace:
        flag.write_text("own", encoding="utf-8")
        (own,) = tick(workspace, instance)
        assert (own.subject, own.severity) == ("sensor landing", "error")
        assert scrubbed(own).found == "the landing cannot be listed: postgresql://***@db/x"
        flag.write_text("foreign", encoding="utf-8")
        time.sleep(1.1)
        (foreign,) = tick(workspace, instance)
        assert foreign.found == "ValueError was raised; its text is in Dagster's UI only, since it may quote values"
        assert foreign.fingerprint == own.fingerprint
        flag.write_text("", encoding="utf-8")
        time.sleep(1.1)
        assert tick(workspace, instance) == []
        assert dagster_problems(instance, Watched(), NOW) == [], "what is no longer in the graph is not watched"
