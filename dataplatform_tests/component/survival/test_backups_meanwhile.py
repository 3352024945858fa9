"""Backups while runs publish, and backups and rollbacks that are killed: what is put back is consistent."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.catalog import load_catalog
from dataplatform.operations.backups import pins
from dataplatform.operations.backups.make import back_up
from dataplatform.operations.backups.restore import choose_backup, restore
from dataplatform.planner.plan import LOST, make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import victims
from dataplatform_tests.command import call
from dataplatform_tests.component.survival.conftest import Undisturbed
from dataplatform_tests.shop import rows, settle
from dataplatform_tests.small_shop import DAYS, deliver, everything, published, settings_of
from dataplatform_tests.victims import Victim

BACKUPS = 3
"""How many are made while a process publishes all the time."""
FIRST = 100
KILLS = 5
ORDER = (("raw_shop_orders", "amount"), ("orders", "order_amount"), ("fact_orders", "order_amount"))


def publish_all_the_time(settings: Settings, stop: Path) -> None:
    """Delivers the first day with an ever greater amount and makes all that follows, until `stop` is there."""
    project, number = Project.load(settings), FIRST
    while not stop.exists():
        number += 1
        deliver(settings.data_dir.parent, {DAYS[0]: [("11", "7", "UK", str(number)), ("12", "8", "FR", "x")]})
        settle(project)


def generations(project: Project) -> list[float]:
    """The amount of the first day's order in each table, from raw on, and in the daily sum."""
    found = [
        next(float(row[0]) for row in rows(project, table, amount, "order_id") if row[1] == "11")
        for table, amount in ORDER
    ]
    daily = next(float(row[0]) for row in rows(project, "daily_orders", "total_amount", "business_date")
                 if str(row[1]) == DAYS[0])  # fmt: skip
    return [*found, daily]


def backed_up(settings: Settings, target: Path) -> None:
    back_up(settings, load_catalog(settings.tables_dir), str(target))


def restored(settings: Settings, target: Path, folder: Path) -> Settings:
    """The newest backup, in a data folder of its own over the same tables and files."""
    other = settings_of(settings.data_dir.parent, data_dir=folder)
    restore(other, choose_backup(other, str(target), None))
    return other


def test_a_backup_while_runs_publish_has_no_slice_that_is_newer_than_what_it_was_made_from(
    ran: Callable[[str], Settings], tmp_path: Path
) -> None:
    settings = ran("first")
    target, stop = tmp_path / "backups", tmp_path / "stop"
    publisher = Victim(publish_all_the_time, [settings, stop], tmp_path / "publisher")
    seen: list[list[float]] = []
    try:
        while generations(Project.load(settings))[-1] < FIRST:
            assert publisher.wait(0.1) is None, publisher.printed
        for number in range(BACKUPS):
            assert publisher.wait(0.3) is None, publisher.printed
            backed_up(settings, target)
            project = Project.load(restored(settings, target, tmp_path / f"restored-{number}"))
            found = generations(project)
            assert found == sorted(found, reverse=True), "each table is at most as new as the one before it"
            reasons = {slice_.reason for slice_ in make_plan(project).slices()}
            assert LOST not in reasons
            assert all(not project.lake.table(c).open().is_ahead for c in project.catalog)
            seen.append(found)
    finally:
        stop.touch()
        assert publisher.ends() == 0, publisher.printed
    assert len({tuple(found) for found in seen}) > 1, "it published meanwhile"
    last = Project.load(settings_of(settings.data_dir.parent, data_dir=tmp_path / f"restored-{BACKUPS - 1}"))
    settle(last)
    assert published(last) == published(Project.load(settings)), "and the next run brings it up to date"


def test_a_table_is_pinned_before_what_it_was_made_from(
    ran: Callable[[str], Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two tables everything is published anew: in another order a slice would be newer than its input."""
    settings, pin, number = ran("first"), pins._pin, itertools.count(FIRST)
    project = Project.load(settings)

    def publish() -> None:
        deliver(settings.data_dir.parent, {DAYS[0]: [("11", "7", "UK", str(next(number))), ("12", "8", "FR", "x")]})
        settle(project)

    def pin_and_publish(*arguments: Any) -> Any:
        pinned = pin(*arguments)
        publish()
        return pinned

    publish()
    monkeypatch.setattr(pins, "_pin", pin_and_publish)
    backed_up(settings, tmp_path / "backups")
    monkeypatch.undo()
    found = Project.load(restored(settings, tmp_path / "backups", tmp_path / "restored"))
    assert generations(found) == sorted(generations(found), reverse=True)
    assert len(set(generations(found))) == len(ORDER) + 1
    assert LOST not in {slice_.reason for slice_ in make_plan(found).slices()}
    settle(found)
    assert published(found) == published(project)


@pytest.fixture
def later(ran: Callable[[str], Settings]) -> Settings:
    return ran("later")


def test_backups_that_are_killed_leave_the_one_before_valid_and_are_gone_on_with(
    later: Settings, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Pain 20: an instance is copied by SQLite's online backup, also one whose writer was killed."""
    target, chance = tmp_path / "backups", random.Random(20110105)  # noqa: S311 - moments, not secrets
    backed_up(later, target)
    before = choose_backup(later, str(target), None).manifest
    seconds = victims.seconds_of(later, "backup", str(tmp_path / "measured"), output=tmp_path / "measured-output")
    for number in range(KILLS):
        shutil.rmtree(later.dagster_home)  # so that much is new
        call(later, "init")
        victims.kill_after(later, chance.uniform(0.05, 1) * seconds, "backup", str(target), output=tmp_path / "killed")
        chosen = choose_backup(later, str(target), None).manifest
        assert chosen.pinned_at >= before.pinned_at
        assert everything_stored(restored(later, target, tmp_path / f"restored-{number}")) == stored(undisturbed.later)
    backed_up(later, target)
    shutil.rmtree(later.data_dir)
    restore(later, choose_backup(later, str(target), None))
    assert everything_stored(later) == stored(undisturbed.later)


def test_rollbacks_that_are_killed_leave_the_rows_of_before_or_of_then_and_end_well_when_repeated(
    ran: Callable[[str], Settings], undisturbed: Undisturbed, tmp_path: Path
) -> None:
    chance = random.Random(20110106)  # noqa: S311 - moments, not secrets
    settings = ran("later")
    now, then = (state["rows"]["orders"] for state in (undisturbed.later, undisturbed.first))
    seconds = victims.seconds_of(settings, "rollback", "orders", "--to", "1", "--yes", output=tmp_path / "measured")
    assert published(Project.load(settings))["orders"] == then
    for _ in range(KILLS):
        settings = ran("later")
        moment = chance.uniform(0.3, 1) * seconds
        victims.kill_after(settings, moment, "rollback", "orders", "--to", "1", "--yes", output=tmp_path / "killed")
        assert published(Project.load(settings))["orders"] in (now, then)
        result = call(settings, "rollback", "orders", "--to", "1", "--yes")
        assert result.exit_code == 0, result.output
        project = Project.load(settings)
        assert published(project)["orders"] == then
        opened = project.lake.table(project.catalog.get("orders")).open()
        assert (opened.state.unknown, opened.hold is None) == (frozenset(), False)
    call(settings, "release", "orders")
    result = call(settings, "run")
    assert result.exit_code == 0, result.output
    assert everything(Project.load(settings)) == undisturbed.later


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """What a backup holds of it: runs make the warehouse again."""
    return {name: value for name, value in state.items() if name != "warehouse"}


def everything_stored(settings: Settings) -> dict[str, Any]:
    return stored(everything(Project.load(settings)))
