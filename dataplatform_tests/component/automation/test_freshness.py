"""Freshness in Dagster: the check, the sensor that keeps it true, and Dagster's own policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets.definition import asset_key
from dataplatform.automation.freshness import build_freshness_checks, build_freshness_sensors
from dataplatform.build import build_definitions
from dataplatform.operations.run import run_stale
from dataplatform.planner.freshness import FRESHNESS_CHECK
from dataplatform.project import Project
from dataplatform_tests.in_dagster import QUIET, drop
from dataplatform_tests.shop import load, shop_tables

RAW, DAILY = dg.AssetKey(["raw", "raw_shop_orders"]), dg.AssetKey(["aggregate", "daily_orders"])
CHECKS = [dg.AssetCheckKey(RAW, FRESHNESS_CHECK), dg.AssetCheckKey(DAILY, FRESHNESS_CHECK)]
ORDER = "1,7,UK,10"


def promise(table: str) -> dict[str, Any]:
    element = f"{table}.business_date"
    return {"document": {"slaProperties": [{"property": "latency", "value": 26, "unit": "h", "element": element}]}}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "instance"), {"telemetry": {"enabled": False}}) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The example shop until the 2nd of January; its raw and its daily table promise 26 hours."""
    shop_tables(tmp_path, raw_shop_orders=promise("raw_shop_orders"), daily_orders=promise("daily_orders"))
    return load(tmp_path, end_date="2011-01-02")


def set_clock(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("dataplatform.settings.utc_now", lambda: datetime.fromisoformat(text).replace(tzinfo=UTC))


def tick(project: Project, instance: dg.DagsterInstance) -> list[dg.AssetCheckEvaluation]:
    """One evaluation of the sensor; what it reports is stored, as Dagster's daemon does."""
    (sensor,) = build_freshness_sensors(project)
    with dg.build_sensor_context(instance=instance) as context:
        data = sensor.evaluate_tick(context)
    reported = [event for event in data.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    for event in reported:
        instance.report_runless_asset_event(event)
    return reported


def shown(instance: dg.DagsterInstance) -> dict[str, tuple[bool, str, str]]:
    """What the UI shows of the check, by table: whether it passed, its severity and its words."""
    found = {}
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(CHECKS).items():
        evaluation = record.evaluation
        assert evaluation is not None
        found[key.asset_key.path[-1]] = (evaluation.passed, evaluation.severity.value, str(evaluation.description))
    return found


def test_the_sensor_runs_unless_it_is_stopped_and_there_is_none_without_promises(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    bare = load(tmp_path)
    assert (build_freshness_checks(bare), build_freshness_sensors(bare)) == ([], [])
    shop_tables(tmp_path, raw_shop_orders=promise("raw_shop_orders"))
    (sensor,) = build_freshness_sensors(load(tmp_path))
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_the_sensor_reports_warning_failure_and_recovery_and_says_nothing_twice(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(project, "2011-01-01", ORDER)
    assert run_stale(project, build_definitions, instance, select=project.catalog.names).exit_code == 0
    set_clock(monkeypatch, "2011-01-03T00:59")
    assert len(tick(project, instance)) == 2
    assert shown(instance)["daily_orders"] == (True, "WARN", "data up to 2011-01-01")
    assert tick(project, instance) == []

    set_clock(monkeypatch, "2011-01-03T01:00")
    tick(project, instance)
    soon = "2011-01-02 is not there yet, and due by 2011-01-03 02:00 Europe/London"
    assert shown(instance) == {"raw_shop_orders": (False, "WARN", soon), "daily_orders": (False, "WARN", soon)}
    assert tick(project, instance) == []

    set_clock(monkeypatch, "2011-01-03T02:00")
    tick(project, instance)
    late = "2011-01-02 is late; the newest with data is 2011-01-01"
    assert shown(instance) == {"raw_shop_orders": (False, "ERROR", late), "daily_orders": (False, "ERROR", late)}

    drop(project, "2011-01-02", ORDER)
    assert run_stale(project, build_definitions, instance, select=project.catalog.names).exit_code == 0
    tick(project, instance)
    assert shown(instance)["daily_orders"] == (True, "WARN", "data up to 2011-01-02")


def test_the_check_can_be_made_by_hand_for_some_tables_and_names_what_is_late(
    project: Project, instance: dg.DagsterInstance
) -> None:
    job = build_definitions(project).resolve_implicit_global_asset_job_def()
    chosen = job.get_subset(asset_selection=frozenset(), asset_check_selection=frozenset(CHECKS[1:]))
    result = chosen.execute_in_process(run_config=QUIET, instance=instance)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.asset_key, evaluation.passed, evaluation.severity) == (
        DAILY, False, dg.AssetCheckSeverity.ERROR
    )  # fmt: skip
    details = {name: value.value for name, value in evaluation.metadata.items()}
    assert details == {
        "state": "late", "newest with data": "none", "late": "2011-01-01, 2011-01-02", "not there yet": "none"
    }  # fmt: skip


def test_a_run_of_the_platforms_own_spends_no_step_on_freshness(project: Project, instance: dg.DagsterInstance) -> None:
    drop(project, "2011-01-01", ORDER)
    summary = run_stale(project, build_definitions, instance, select=["raw_shop_orders"])
    steps = {event.step_key for event in instance.all_logs(summary.waves[0].run_id) if event.step_key}
    assert steps == {"raw__raw_shop_orders"}


def policies(project: Project) -> dict[str, Any]:
    graph = build_definitions(project).resolve_asset_graph()
    return {c.name: graph.get(asset_key(c)).freshness_policy for c in project.catalog}


def test_dagsters_policy_allows_one_partition_and_the_latency_between_two_runs(tmp_path: Path) -> None:
    warn = {"customProperties": [{"property": "warnAfter", "value": 25}]}
    daily = promise("daily_orders")
    daily["document"]["slaProperties"][0] |= warn
    shop_tables(tmp_path, raw_shop_orders=promise("raw_shop_orders"), daily_orders=daily)
    found = policies(replace(load(tmp_path, end_date=""), last_date=date(2011, 1, 5)))
    hours = {
        name: (
            policy.warn_window.to_timedelta() / timedelta(hours=1),
            policy.fail_window.to_timedelta() / timedelta(hours=1),
        )
        for name, policy in found.items()
        if policy is not None
    }
    assert hours == {"raw_shop_orders": (49.7, 51), "daily_orders": (50, 51)}


def test_an_ended_ledger_has_no_policy_that_could_turn_it_red(project: Project) -> None:
    assert set(policies(project).values()) == {None}
