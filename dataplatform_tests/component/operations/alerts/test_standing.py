"""The standing check: it passes while somebody is told in time, and fails when a partition is left without."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.operations.alerts.looking import TABLES, table_problems
from dataplatform.operations.alerts.outbox import Outbox, open_outbox
from dataplatform.operations.alerts.setting import AlertSetting, load_alert_setting
from dataplatform.operations.alerts.standing import untold
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.component.operations.alerts.conftest import D1, D2, D3, NOW
from dataplatform_tests.in_dagster import drop, materialize

ALL = "raw_shop_orders orders dim_buyer fact_orders daily_orders"
Left = Callable[..., list[str]]


@pytest.fixture
def setting(tmp_path: Path) -> AlertSetting:
    path = tmp_path / "alerts.yaml"
    path.write_text("receivers: {hook: {kind: slack, url_env: HOOK}}\ndefault: [hook]\n", encoding="utf-8")
    return load_alert_setting(path)


@pytest.fixture
def made(project: Project, instance: dg.DagsterInstance) -> Project:
    """Three days, all made."""
    for number, day in enumerate((D1, D2, D3), start=1):
        drop(project, day, f"{number},7,UK,1")
    assert materialize(project, instance, ALL, (D1, D3)).success
    return project


@pytest.fixture
def left(instance: dg.DagsterInstance, setting: AlertSetting) -> Left:
    """What the check says after a look at `seen`, asked at `now`; all that was found is told when `told`."""

    def check(
        project: Project,
        *,
        seen: datetime | None = NOW,
        now: datetime = NOW,
        told: bool = False,
        to: AlertSetting | None = None,
    ) -> list[str]:
        with open_outbox(project.settings.data_dir) as outbox:
            if seen is not None:
                outbox.observe(TABLES, table_problems(project, instance, seen), seen.timestamp())
            if told:
                tell_all(outbox, now)
            return untold(project, outbox, to or setting, now)

    return check


def tell_all(outbox: Outbox, now: datetime) -> None:
    marks = [(alert.problem.fingerprint, False) for alert in outbox.alerts()]
    outbox.mark_told("hook", marks, now.timestamp(), now.timestamp())


def test_nothing_is_left_where_everything_is_made(made: Project, left: Left) -> None:
    assert left(made) == []


def test_a_failed_partition_is_named_when_nobody_was_told_in_time(
    made: Project, instance: dg.DagsterInstance, left: Left
) -> None:
    drop(made, D2, "2,7,UK,-1", "3,7,UK,-2", "4,7,UK,1")
    materialize(made, instance, ALL, (D2, D2))
    assert left(made) == [], "there is an hour to tell it"
    late = NOW + timedelta(hours=2)
    assert left(made, seen=None, now=late) == [
        "cleaned.orders: 1 partition stale: 2011-01-02",
        "dimensional.dim_buyer: 1 partition stale",
        "dimensional.fact_orders: 3 partitions stale: 2011-01-01..2011-01-03",
        "aggregate.daily_orders: 3 partitions stale: 2011-01-01..2011-01-03",
    ]
    assert left(made, seen=None, now=late, told=True) == [], "what waits for it is covered by its cause"


def test_a_stale_partition_is_named_when_nobody_was_told_in_time(made: Project, left: Left) -> None:
    drop(made, D2, "2,7,UK,9")
    assert left(made) == []
    late = NOW + timedelta(hours=30)
    assert "raw.raw_shop_orders: 1 partition stale: 2011-01-02" in left(made, seen=None, now=late)
    assert left(made, seen=None, now=late, told=True) == []


def test_a_missing_partition_is_named_when_nobody_was_told_in_time(made: Project, left: Left) -> None:
    longer = shop.load(made.settings.tables_dir.parent, end_date="2011-01-04")
    assert left(longer) == []
    late = NOW + timedelta(hours=2)
    assert left(longer, seen=None, now=late) == ["raw.raw_shop_orders: 1 partition missing: 2011-01-04"]
    assert left(longer, seen=None, now=late, told=True) == []


def test_a_partition_that_no_look_has_seen_is_named_at_once(made: Project, left: Left) -> None:
    drop(made, D2, "2,7,UK,9")
    assert "raw.raw_shop_orders: 1 partition stale: 2011-01-02" in left(made, seen=None)


def test_that_nobody_is_configured_is_said(made: Project, left: Left) -> None:
    drop(made, D2, "2,7,UK,9")
    lines = left(made, now=NOW + timedelta(hours=30), to=AlertSetting())
    assert lines[-1] == "nobody is configured to be told: DATAPLATFORM_ALERTS names no file"
