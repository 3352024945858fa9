"""Keeping house on a whole platform: nothing that people see changes, nothing becomes stale, nobody is woken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dataplatform.assets.candidates import Candidate, from_function
from dataplatform.assets.slices import make_slices
from dataplatform.automation.maintenance import MAINTENANCE
from dataplatform.build import build_definitions
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.operations.instance import open_instance
from dataplatform.operations.lock import LockedError, run_lock
from dataplatform.operations.maintain import LOCK, maintain
from dataplatform.operations.maintain_text import maintenance_text
from dataplatform.operations.run import run_stale
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import utc_now
from dataplatform_tests import shop, small_shop
from dataplatform_tests.ageing import contents, grow_older
from dataplatform_tests.command import call


@pytest.fixture(scope="module")
def worn_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made day by day, so that `daily_orders` and the verdicts lie in many files."""
    folder = tmp_path_factory.mktemp("worn")
    project = Project.load(small_shop.make_shop(folder))
    shutil.rmtree(folder / "landing")
    for day, orders in small_shop.FIRST_FILES.items():
        small_shop.deliver(folder, {day: orders})
        shop.settle(project)
    return folder


@pytest.fixture
def worn(worn_shop: Path, tmp_path: Path) -> Project:
    shutil.copytree(worn_shop, tmp_path, dirs_exist_ok=True)
    return Project.load(small_shop.settings_of(tmp_path))


def test_everything_that_people_see_is_the_same_afterwards_and_nothing_is_stale(worn: Project) -> None:
    """Pain 6: retention without a lost row."""
    with open_instance(worn.settings) as instance:
        assert run_stale(worn, build_definitions, instance).exit_code == 0
        before = small_shop.everything(worn)
        report = maintain(worn, instance, dry_run=False)
        assert report.failed == []
        assert report.tables["aggregate.daily_orders"].compacted == 4
        assert report.tables["quality.rule_results"].files == 1  # its run's steps were committed together
        assert small_shop.everything(worn) == before
        assert list(make_plan(worn).slices()) == []
        summary = run_stale(worn, build_definitions, instance)
    assert (summary.waves, summary.failed) == ([], [])


def test_nothing_is_stale_when_every_log_has_forgotten_what_the_records_name(worn: Project) -> None:
    with open_instance(worn.settings) as instance:
        for _ in range(3):  # compacted and checked, then past retention, then cleaned
            maintain(worn, instance, dry_run=False)
            for contract in worn.catalog:
                DeltaTable(worn.lake.table(contract).uri).create_checkpoint()
            grow_older(worn.lake.root, 40)
        report = maintain(worn, instance, dry_run=False)
    assert report.failed == []
    for contract in worn.catalog:
        assert report.tables[contract.full_name].log_after < worn.lake.table(contract).open().version
    assert list(make_plan(worn).slices()) == []


def test_a_dry_run_changes_nothing_and_says_what_would_be_done(worn: Project) -> None:
    call(worn.settings, "init")
    before = contents(worn.settings.data_dir)
    said = call(worn.settings, "maintain")
    assert contents(worn.settings.data_dir) == before
    assert said.exit_code == 0
    assert said.output.startswith("table                   files   MB  small files  become  files removed")
    assert said.output.endswith("nothing was done; do it with --yes\n")


def test_with_yes_it_is_done_and_a_second_time_finds_nothing(worn: Project) -> None:
    assert "aggregate.daily_orders" in call(worn.settings, "maintain", "--yes").output
    again = call(worn.settings, "maintain", "--yes")
    assert again.exit_code == 0
    assert again.output.splitlines()[0] == "9 tables, 0 tables with files to compact or remove"


def test_one_bad_table_is_named_and_does_not_keep_the_others_from_it(worn: Project) -> None:
    log = worn.lake.table(worn.catalog.get("orders")).folder / "_delta_log"
    (log / f"{1:020d}.json").write_bytes(b"\x00\xff garbage")
    with open_instance(worn.settings) as instance:
        report = maintain(worn, instance, dry_run=False)
    assert report.exit_code == 1
    (line,) = report.failed
    assert line.startswith("cleaned.orders: ")
    assert report.tables["aggregate.daily_orders"].compacted == 4
    assert f"failed: {line}" in maintenance_text(report)


def test_a_second_maintenance_is_refused_and_a_run_is_not(worn: Project) -> None:
    with open_instance(worn.settings) as instance, run_lock(worn.settings.data_dir, name=LOCK):
        with pytest.raises(LockedError, match="is at work"):
            maintain(worn, instance, dry_run=False)
        maintain(worn, instance, dry_run=True)
        with run_lock(worn.settings.data_dir):
            pass


def test_maintenance_goes_on_while_a_run_holds_the_data_folder(worn: Project) -> None:
    with open_instance(worn.settings) as instance, run_lock(worn.settings.data_dir):
        assert maintain(worn, instance, dry_run=False).failed == []


def test_a_step_that_maintenance_overtakes_is_made_again_from_its_inputs(worn: Project) -> None:
    """The publication wins: never a lost row, whichever commits first."""
    contract, calls = worn.catalog.get("daily_orders"), []
    before = shop.rows(worn, "daily_orders")
    with open_instance(worn.settings) as instance:

        def made_slowly(session: Any, _target: Any, partitions: Sequence[str]) -> Candidate:
            calls.append(partitions)
            if len(calls) == 1:
                maintain(worn, instance, dry_run=False)
            candidate = from_function(worn, session, contract, partitions)
            assert candidate.rows is not None
            candidate.rows = candidate.rows.mutate(order_count=candidate.rows.order_count + 100)
            return candidate

        outcome = make_slices(worn, contract, small_shop.DAYS[:1], run_id="slow", maker=made_slowly)
    assert len(calls) == 2
    assert [slice_.status for slice_ in outcome.slices.values()] == ["published"]
    after = shop.rows(worn, "daily_orders")
    assert after[0] == (before[0][0], before[0][1] + 100, before[0][2])
    assert after[1:] == before[1:]


def test_histories_lose_what_is_past_their_days_and_the_quarantine_loses_nothing(worn: Project) -> None:
    """Pain 6: histories are kept for so many days."""
    tables, now = PlatformTables(worn.lake.root), utc_now()
    tables.commit_notes()
    old = DeltaTable(str(worn.lake.root / "quality" / "rule_results")).to_pyarrow_table()
    rows, held = old.num_rows, small_shop.quarantine(worn)
    aged = pa.array([now - timedelta(days=731)] * rows, pa.timestamp("us", "UTC"))
    tables.append_results(old.set_column(0, "evaluated_at", aged))
    tables.commit_notes()
    with open_instance(worn.settings) as instance:
        assert maintain(worn, instance, dry_run=True).forgotten == {"quality.rule_results": rows}
        report = maintain(worn, instance, dry_run=False)
        assert report.forgotten == {"quality.rule_results": rows}
        assert f"quality.rule_results: {rows:,} rows past DATAPLATFORM_HISTORY_DAYS" in maintenance_text(report)
        assert maintain(worn, instance, dry_run=False).forgotten == {}
    assert DeltaTable(str(worn.lake.root / "quality" / "rule_results")).to_pyarrow_table().num_rows == rows
    assert small_shop.quarantine(worn) == held


def test_it_works_before_anything_was_made(tmp_path: Path) -> None:
    settings = small_shop.make_shop(tmp_path)
    assert call(settings, "maintain", "--yes").output.startswith("0 tables, 0 tables with files to compact")


def test_the_job_of_the_schedule_does_the_same_and_fails_by_name(worn: Project) -> None:
    with open_instance(worn.settings) as instance:
        job = build_definitions(worn).resolve_job_def(MAINTENANCE)
        assert job.execute_in_process(instance=instance).success
        assert len(worn.lake.table(worn.catalog.get("daily_orders")).open().files) == 1
        log = worn.lake.table(worn.catalog.get("orders")).folder / "_delta_log"
        (log / f"{1:020d}.json").write_text(json.dumps([]))
        with pytest.raises(dg.Failure, match=r"cleaned\.orders: "):
            job.execute_in_process(instance=instance)
