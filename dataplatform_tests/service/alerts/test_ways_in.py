"""The ways in: commands, a run's end and the sensor, each with a receiver that runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.alerts.outbox import open_outbox
from dataplatform.operations.instance import open_instance
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import shop
from dataplatform_tests.command import call
from dataplatform_tests.in_dagster import drop
from dataplatform_tests.receiving import HttpReceiver, answers, hangs

D1 = "2011-01-01"
HOOK = "receivers: {hook: {kind: webhook, url_env: HOOK}}\ndefault: [hook]\n"
GOOD, BAD = "1,7,UK,1", "1,7,UK,-1"


@pytest.fixture
def project(tmp_path: Path, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The shop of one day, whose problems are told to the receiver."""
    shop.shop_tables(tmp_path)
    path = tmp_path / "alerts.yaml"
    path.write_text(HOOK, encoding="utf-8")
    monkeypatch.setenv("DATAPLATFORM_ALERTS", str(path))
    monkeypatch.setenv("HOOK", receiver.url)
    return shop.load(tmp_path, end_date=D1)


def test_a_run_tells_at_its_end_and_again_when_it_is_over(project: Project, receiver: HttpReceiver) -> None:
    """Pain 16: a failed check reaches its owner without anybody looking, and so does its end."""
    drop(project, D1, BAD)
    failed = call(project.settings, "run")
    assert failed.exit_code == 1
    assert (
        "alerts: hook was told 1 message\nopen problems: 1 error, 0 warnings: see `dataplatform alerts list`\n"
        in failed.stdout
    )
    drop(project, D1, GOOD)
    good = call(project.settings, "run")
    assert good.exit_code == 0
    assert good.stdout.endswith("alerts: hook was told 1 message\n")
    assert receiver.told("event", "kind", "subject", "owner") == [
        ("problem", "rule_failed", "cleaned.orders", "tests@example.com"),
        ("resolved", "rule_failed", "cleaned.orders", "tests@example.com"),
    ]
    assert receiver.messages[0]["links"]["run"].startswith("http://127.0.0.1:3000/runs/")


def test_a_receiver_that_hangs_holds_a_run_up_for_a_bounded_time_and_does_not_fail_it(
    project: Project, receiver: HttpReceiver
) -> None:
    """Pain 20: with the limits that ship."""
    receiver.behaviour = hangs
    drop(project, D1, GOOD, "2,7,UK,-1")
    call(project.settings, "run", "--select", "raw_shop_orders")
    started = time.monotonic()
    result = call(project.settings, "run")
    assert result.exit_code == 0, result.output
    assert "alerts: hook could not be told: it did not answer within " in result.stdout
    assert time.monotonic() - started < 40


def test_a_wrong_file_of_receivers_is_said_and_does_not_fail_a_run(project: Project) -> None:
    Path(os.environ["DATAPLATFORM_ALERTS"]).write_text(HOOK + "color: red\n", encoding="utf-8")
    drop(project, D1, GOOD)
    result = call(project.settings, "run")
    assert result.exit_code == 0
    assert "alerts.yaml: color: extra inputs are not permitted" in result.stdout
    assert call(project.settings, "alerts", "send").exit_code == 2


def test_the_sensor_tells_and_says_whom(project: Project, receiver: HttpReceiver) -> None:
    drop(project, D1, BAD)
    settings = project.settings
    repository = build_definitions(project).get_repository_def()
    sensor = repository.get_sensor_def("alerts")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    with open_instance(settings) as instance:
        for said in ("there was nothing to tell",):
            context = dg.build_sensor_context(instance=instance, repository_def=repository)
            assert sensor.evaluate_tick(context).skip_message == said
    call(settings, "run")
    receiver.behaviour = answers(200)
    with open_instance(settings) as instance:
        context = dg.build_sensor_context(instance=instance, repository_def=repository)
        assert sensor.evaluate_tick(context).skip_message == "there was nothing to tell", "the run has told it"
    assert receiver.told("event") == [("problem",)]


def test_the_list_shows_what_is_wrong_and_who_was_told(project: Project, receiver: HttpReceiver) -> None:
    drop(project, D1, BAD)
    call(project.settings, "run")
    listed = call(project.settings, "alerts", "list", "--exit-code")
    assert listed.exit_code == 0, listed.output
    assert "open problems: 1 error, 0 warnings\n" in listed.stdout
    (row,) = [line.split() for line in listed.stdout.splitlines() if "quarantine_share" in line]
    assert (row[0], row[-2]) == ("error", "hook")
    silenced = call(project.settings, "alerts", "silence", row[-1], "--for", "1d")
    assert silenced.stdout.startswith(f"{row[-1]} is silenced until ")
    assert "silenced until" in call(project.settings, "alerts", "list").stdout
    assert call(project.settings, "alerts", "silence", "000000000000").exit_code == 2
    assert call(project.settings, "alerts", "silence", row[-1], "--for", "ever").exit_code == 1


def test_the_exit_code_tells_that_a_partition_was_left_and_nobody_told(
    project: Project, receiver: HttpReceiver
) -> None:
    receiver.behaviour = answers(503)
    drop(project, D1, BAD)
    call(project.settings, "run")
    assert call(project.settings, "alerts", "list", "--exit-code").exit_code == 0, "there is an hour to tell it"
    with open_outbox(project.settings.data_dir) as outbox:
        outbox._connection.execute("UPDATE partitions SET first_seen = first_seen - 100000")
    left = call(project.settings, "alerts", "list", "--exit-code")
    assert left.exit_code == 1
    assert "nobody was told: cleaned.orders: 1 partition stale: 2011-01-01\n" in left.stdout
    assert "hook cannot be told since " in left.stdout
    assert call(project.settings, "alerts", "list").exit_code == 0


def test_send_looks_from_outside_and_fails_when_somebody_cannot_be_told(
    project: Project, receiver: HttpReceiver
) -> None:
    drop(project, D1, BAD)
    receiver.behaviour = answers(500)
    call(project.settings, "run")
    failed = call(project.settings, "alerts", "send")
    assert (failed.exit_code, failed.stdout) == (1, "hook could not be told: it answered 500\n")
    receiver.behaviour = answers(200)
    assert call(project.settings, "alerts", "send").stdout == "hook was told 1 message\n"
    done = call(project.settings, "alerts", "send")
    assert (done.exit_code, done.stdout) == (0, "there was nothing to tell\n")


def test_send_tells_that_the_platform_cannot_be_loaded(project: Project, receiver: HttpReceiver) -> None:
    drop(project, D1, GOOD)
    call(project.settings, "run")
    path = project.settings.tables_dir / "aggregate" / "daily_orders.py"
    text = path.read_text(encoding="utf-8")
    path.write_text("def nothing(): ...\n", encoding="utf-8")
    assert call(project.settings, "alerts", "send").exit_code == 1
    assert receiver.told("event", "kind") == [("problem", "definitions_broken")]
    path.write_text(text, encoding="utf-8")
    call(project.settings, "alerts", "send")
    assert receiver.told("event", "kind")[1:] == [("resolved", "definitions_broken")]


def test_check_sends_a_test_to_every_receiver(project: Project, receiver: HttpReceiver) -> None:
    good = call(project.settings, "alerts", "check")
    assert (good.exit_code, good.stdout) == (0, "hook accepted a test message\n")
    assert receiver.told("event") == [("test",)]
    receiver.behaviour = answers(403)
    bad = call(project.settings, "alerts", "check", "hook")
    assert (bad.exit_code, bad.stdout) == (1, "hook did not accept a test message: it answered 403\n")
    assert call(project.settings, "alerts", "check", "hok").exit_code == 2


def test_without_a_file_nobody_is_told_and_that_is_said(
    project: Project, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATAPLATFORM_ALERTS")
    drop(project, D1, BAD)
    assert call(project.settings, "run").stdout.endswith("; nobody is told of them\n")
    assert (
        "nobody is told: DATAPLATFORM_ALERTS names no file of receivers"
        in call(project.settings, "alerts", "list").stdout
    )
    assert call(project.settings, "alerts", "check").exit_code == 1
    assert receiver.requests == []


@pytest.mark.parametrize("value", ["127.0.0.1:3000", "http://me:pw@ui", "javascript:alert(1)"])
def test_the_address_of_the_ui_is_one_of_a_page(value: str) -> None:
    with pytest.raises(Exception, match="not the address of a web page"):
        Settings.load(ui_url=value)
