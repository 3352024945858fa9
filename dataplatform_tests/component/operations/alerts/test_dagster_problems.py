"""What is wrong on Dagster's side: failed steps, runs, ticks and daemons, each until it is mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from dataplatform.operations.alerts.looking import table_problems
from dataplatform.operations.alerts.problem import Kind, Problem
from dataplatform.operations.alerts.runs import WHOLE_GRAPH, Watched, dagster_problems
from dataplatform.operations.daily_checks import JOB
from dataplatform.operations.serve import forget_daemons
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.component.operations.alerts.conftest import D1, NOW, PRIVATE, Look
from dataplatform_tests.component.operations.test_daily_checks import (  # noqa: F401 - the fixture
    desk,
    publish,
    run_job,
    two_runs_at_once,
)
from dataplatform_tests.in_dagster import QUIET, RANGE_END, RANGE_START, drop, materialize


def wrong(instance: DagsterInstance, watched: Watched | None = None, now: datetime = NOW) -> dict[str, Problem]:
    """What is wrong besides tables, by subject."""
    return {each.subject: each for each in dagster_problems(instance, watched or Watched(), now)}


def test_an_error_that_is_not_the_platforms_own_is_told_by_its_type_alone(
    tmp_path: Path, instance: DagsterInstance, look: Look
) -> None:
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path, end_date=D1)
    drop(project, D1, "1,7,UK,1")
    materialize(project, instance, "raw_shop_orders orders dim_buyer fact_orders", (D1, D1))

    @dg.asset(key=["aggregate", "daily_orders"], partitions_def=dg.DailyPartitionsDefinition(D1))
    def aggregate__daily_orders() -> None:
        raise ValueError(f"could not convert {PRIVATE}")

    job = dg.Definitions([aggregate__daily_orders]).resolve_implicit_global_asset_job_def()
    tags = {RANGE_START: D1, RANGE_END: D1}
    selection = [dg.AssetKey(["aggregate", "daily_orders"])]
    failed = job.execute_in_process(
        run_config=QUIET, instance=instance, asset_selection=selection, tags=tags, raise_on_error=False
    )
    found = look(project)
    problem = found["slice_failed"]
    assert (problem.subject, problem.partitions, problem.run_id) == ("aggregate.daily_orders", (D1,), failed.run_id)
    assert "ValueError was raised; its text is in Dagster's UI only" in problem.found
    assert PRIVATE not in repr(found)
    materialize(project, instance, "daily_orders", (D1, D1))
    assert look(project) == {}, "whatever makes the slice ends its problem"


def test_a_run_that_no_step_explains_is_told_until_what_it_was_to_make_is_made(
    project: Project, instance: DagsterInstance, look: Look
) -> None:
    drop(project, D1, "1,7,UK,1")
    key = dg.AssetKey(["raw", "raw_shop_orders"])
    run = dg.DagsterRun(
        WHOLE_GRAPH, status=dg.DagsterRunStatus.FAILURE, asset_selection=frozenset([key]),
        tags={RANGE_START: D1, RANGE_END: D1},
    )  # fmt: skip
    instance.add_run(run)
    problem = look(project)["run_failed"]
    assert (problem.subject, problem.run_id) == ("run of raw.raw_shop_orders", run.run_id)
    assert (problem.partitions, problem.owner) == ((D1,), "tests@example.com")
    materialize(project, instance, "raw_shop_orders", (D1, D1))
    assert "run_failed" not in look(project)


def test_a_failed_job_is_told_until_its_next_run_ends_well(instance: DagsterInstance) -> None:
    watched = Watched(jobs=frozenset({"maintain"}))
    for status, expected in ((dg.DagsterRunStatus.FAILURE, ["job maintain"]), (dg.DagsterRunStatus.SUCCESS, [])):
        instance.add_run(dg.DagsterRun("maintain", status=status))
        assert list(wrong(instance, watched)) == expected


def test_a_key_that_is_held_twice_is_told_to_its_owner_by_the_verdict_and_not_by_the_job_besides(
    desk: Project,  # noqa: F811 - pytest hands it over
    instance: DagsterInstance,
) -> None:
    """Pain 16: what a check finds in published rows reaches somebody, once."""
    two_runs_at_once(desk)
    assert not run_job(desk, instance).success
    assert wrong(instance, Watched(jobs=frozenset({JOB}))) == {}
    (problem,) = [each for each in table_problems(desk, instance, NOW) if each.kind is Kind.KEY_HELD_TWICE]
    assert (problem.subject, problem.rule, problem.owner) == ("cleaned.tickets", "primary_key", "tests@example.com")
    assert "such as ***, in" in problem.found, "the key is private"
    publish(desk, D1, [("z", "3")])
    assert run_job(desk, instance).success
    assert all(each.kind is not Kind.KEY_HELD_TWICE for each in table_problems(desk, instance, NOW))


@pytest.fixture
def heartbeat(instance: DagsterInstance) -> Callable[[str, datetime], None]:
    def beat(name: str, at: datetime) -> None:
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), name, "a-daemon", []))

    return beat


def test_a_daemon_that_gives_no_sign_of_life_is_dead_and_one_that_never_was_is_not(
    instance: DagsterInstance, heartbeat: Callable[[str, datetime], None]
) -> None:
    """Pain 16: a daemon that died is told by whoever looks from outside."""
    assert wrong(instance) == {}
    heartbeat("SENSOR", NOW - timedelta(hours=2))
    heartbeat("SCHEDULER", NOW - timedelta(seconds=10))
    found = wrong(instance)
    assert list(found) == ["daemon SENSOR"]
    assert found["daemon SENSOR"].found == "none since 2011-01-12 10:00 UTC"
    heartbeat("SENSOR", NOW)
    assert wrong(instance) == {}


def test_daemons_that_were_stopped_on_purpose_are_not_dead(
    project: Project, instance: DagsterInstance, heartbeat: Callable[[str, datetime], None]
) -> None:
    heartbeat("SENSOR", NOW - timedelta(hours=2))
    forget_daemons(project.settings)
    assert wrong(instance) == {}
