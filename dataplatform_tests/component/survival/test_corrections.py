"""Days that are delivered again: wrong, right, and wrong before they are right; the quarantine tells the same story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.run import RunSummary, run_stale
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.small_shop import (
    DAYS,
    FIRST_FILES,
    LATER_FILES,
    Order,
    deliver,
    everything,
    make_shop,
    quarantine,
    settings_of,
)

D1, D2, D3, D4, D5, _ = DAYS
MOSTLY_BAD: list[Order] = [("11", "7", "UK", "x"), ("12", "8", "FR", "y"), ("13", "9", "DE", "3")]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, instance: dg.DagsterInstance) -> Project:
    project = Project.load(make_shop(tmp_path))
    assert run(project, instance).exit_code == 0
    return project


def run(project: Project, instance: dg.DagsterInstance) -> RunSummary:
    return run_stale(project, build_definitions, instance)


def made(summary: RunSummary) -> set[tuple[str, str]]:
    return {(outcome.table, partition) for outcome in summary.outcomes for partition in outcome.slices}


def statuses(project: Project) -> dict[str, set[str]]:
    """Partition of orders -> what its rows in quarantine are."""
    found: dict[str, set[str]] = {}
    for table, partition, status, *_ in quarantine(project):
        assert table == "orders"
        found.setdefault(partition, set()).add(status)
    return found


def test_a_correction_that_is_mostly_bad_keeps_the_day_and_shows_why(
    project: Project, instance: dg.DagsterInstance
) -> None:
    before = everything(project)
    deliver(project.settings.landing_folder.parent, {D1: MOSTLY_BAD})
    summary = run(project, instance)
    assert summary.exit_code == 1
    (line,) = summary.failed
    assert line.startswith(
        f"cleaned.orders {D1}: quarantine_share: expected at most 50% of the rows quarantined, found 66"
    )
    assert statuses(project)[D1] == {"blocked"}
    after = everything(project)
    for table in ("orders", "dim_buyer", "fact_orders", "daily_orders"):
        assert after["rows"][table] == before["rows"][table]
    assert after["warehouse"] == before["warehouse"]


def test_a_day_that_was_blocked_and_is_as_before_again_is_as_if_nothing_had_been(
    project: Project, instance: dg.DagsterInstance
) -> None:
    before = everything(project)
    folder = project.settings.landing_folder.parent
    deliver(folder, {D1: MOSTLY_BAD})
    assert run(project, instance).exit_code == 1
    deliver(folder, {D1: FIRST_FILES[D1]})
    again = run(project, instance)
    assert again.exit_code == 0
    assert made(again) == {("raw_shop_orders", D1), ("orders", D1)}
    assert everything(project) == before
    assert run(project, instance).waves == []


def test_a_day_that_was_blocked_and_is_corrected_is_made_with_what_it_changes(
    project: Project, instance: dg.DagsterInstance
) -> None:
    folder = project.settings.landing_folder.parent
    deliver(folder, {D2: MOSTLY_BAD})
    assert run(project, instance).exit_code == 1
    deliver(folder, {D2: [("21", "8", "FR", "0.5")]})
    summary = run(project, instance)
    assert summary.exit_code == 0
    assert made(summary) == {
        ("raw_shop_orders", D2), ("orders", D2), ("dim_buyer", "all"), ("fact_orders", D2), ("daily_orders", D2)
    }  # fmt: skip
    assert statuses(project) == {D1: {"quarantined"}, D3: {"quarantined"}}


def test_a_bad_day_does_not_keep_the_days_beside_it(project: Project, instance: dg.DagsterInstance) -> None:
    deliver(project.settings.landing_folder.parent, {**LATER_FILES, D4: MOSTLY_BAD})
    summary = run(project, instance)
    assert summary.exit_code == 1
    assert len(summary.failed) == 1
    left = [(slice_.table, slice_.partition) for slice_ in make_plan(project).slices() if slice_.certain]
    assert left == [("orders", D4)]
    deliver(project.settings.landing_folder.parent, {D4: LATER_FILES[D4]})
    assert run(project, instance).exit_code == 0
    settings = project.settings
    clean = Project.load(settings_of(settings.landing_folder.parent, settings.data_dir.with_name("clean")))
    assert run(clean, instance).exit_code == 0
    assert everything(project) == everything(clean)


def test_a_file_that_was_touched_and_not_changed_makes_nothing(project: Project, instance: dg.DagsterInstance) -> None:
    deliver(project.settings.landing_folder.parent, FIRST_FILES)
    assert run(project, instance).waves == []
