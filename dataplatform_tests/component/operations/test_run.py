"""Bringing everything up to date: waves, what fails, what is left alone, and what is asked for by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.build import build_definitions
from dataplatform.errors import PermanentError
from dataplatform.operations.run import RunSummary, Silent, WaveResult, forced_slices, rebuild, run_stale
from dataplatform.planner.plan import make_plan
from dataplatform.planner.waves import Wave
from dataplatform.project import Project
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests import shop
from dataplatform_tests.in_dagster import drop

D1, D2, D3, D4 = (f"2011-01-0{day}" for day in (1, 2, 3, 4))
DAILY = ("raw_shop_orders", "orders", "dim_buyer", "fact_orders", "daily_orders")
SERVING = ("warehouse", "sales_report")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def delivered(tmp_path: Path) -> Project:
    """Files for the first two of four days, and nothing made of them yet."""
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path, end_date=D4)
    drop(project, D1, "1,7,UK,1.5", "2,8,FR,2")
    drop(project, D2, "3,7,UK,1")
    return project


def only_tables(project: Project, on_outcome: object) -> dg.Definitions:
    """The definitions without warehouse and report."""
    whole = build_definitions(project, on_outcome)  # type: ignore[arg-type] # as the runner hands it over
    assets = [a for a in whole.assets or [] if isinstance(a, dg.AssetsDefinition) and a.key.path[0] != "serving"]
    return dg.Definitions(assets=assets, resources=whole.resources, executor=whole.executor)


def made(summary: RunSummary) -> dict[str, list[str]]:
    """Table -> the slices that were requested of it, in order, repetitions included."""
    found: dict[str, list[str]] = {}
    for outcome in summary.outcomes:
        found.setdefault(outcome.table, []).extend(outcome.slices)
    return found


class Watcher(Silent):
    """Notes in which order it is told of things."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def wave_started(self, wave: Wave) -> None:
        self.told.append(f"wave {wave.title} of {len(wave.tables)}")

    def table_finished(self, table: str, outcome: object) -> None:  # noqa: ARG002 - as it is called
        self.told.append(table)

    def wave_finished(self, result: WaveResult) -> None:
        self.told.append("done" if result.success else "failed")


# waves


def test_a_first_run_takes_one_wave_and_the_serving_layer_another(
    delivered: Project, instance: dg.DagsterInstance
) -> None:
    watcher = Watcher()
    summary = run_stale(delivered, build_definitions, instance, report=watcher)
    assert [(wave.tables, wave.title, wave.success) for wave in summary.waves] == [
        (DAILY, f"{D1}..{D2}", True),
        (SERVING, "", True),
    ]
    assert watcher.told == [f"wave {D1}..{D2} of 5", *DAILY, "done", "wave  of 2", "done"]
    assert (summary.exit_code, summary.failed, summary.reconciled) == (0, [], 0)
    assert not Warehouse(delivered).stale()


def test_every_wave_is_a_run_on_the_instance(delivered: Project, instance: dg.DagsterInstance) -> None:
    summary = run_stale(delivered, build_definitions, instance)
    runs = {run.run_id: run for run in instance.get_runs()}
    assert set(runs) == {wave.run_id for wave in summary.waves}
    tags = runs[summary.waves[0].run_id].tags
    assert {tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")} == {D1, D2}


def test_a_second_run_does_nothing(delivered: Project, instance: dg.DagsterInstance) -> None:
    run_stale(delivered, build_definitions, instance)
    summary = run_stale(delivered, build_definitions, instance)
    assert (summary.waves, summary.outcomes, summary.reconciled) == ([], [], 0)


def test_days_that_do_not_touch_are_waves_of_their_own(delivered: Project, instance: dg.DagsterInstance) -> None:
    drop(delivered, D4, "4,7,UK,1")
    summary = run_stale(delivered, only_tables, instance, select=["raw_shop_orders"])
    assert [wave.title for wave in summary.waves] == [f"{D1}..{D2}", D4]


def test_a_correction_that_changes_no_row_stops_after_one_wave(
    delivered: Project, instance: dg.DagsterInstance
) -> None:
    run_stale(delivered, only_tables, instance)
    drop(delivered, D2, "3,7,UK,1.0")
    assert made(run_stale(delivered, only_tables, instance)) == {"raw_shop_orders": [D2], "orders": [D2]}


def test_selected_tables_and_days_bound_a_run_and_leave_the_serving_layer_alone(
    delivered: Project, instance: dg.DagsterInstance
) -> None:
    summary = run_stale(delivered, build_definitions, instance, select=["raw_shop_orders", "orders"], first=D2, last=D3)
    assert made(summary) == {"raw_shop_orders": [D2], "orders": [D2]}
    assert len(summary.waves) == 1


# what fails


@pytest.fixture
def with_a_bad_day(delivered: Project) -> Project:
    drop(delivered, D2, "3,7,UK,x", "4,7,UK,y")
    drop(delivered, D3, "5,7,UK,1")
    return delivered


def test_a_bad_day_does_not_keep_the_others_from_being_made(
    with_a_bad_day: Project, instance: dg.DagsterInstance
) -> None:
    summary = run_stale(with_a_bad_day, build_definitions, instance)
    assert {str(row[0]) for row in shop.rows(with_a_bad_day, "daily_orders")} == {D1, D3}
    assert not Warehouse(with_a_bad_day).stale()
    assert summary.exit_code == 1
    (line,) = summary.failed
    assert line.startswith(f"cleaned.orders {D2}: quarantine_share: expected at most 50% of the rows quarantined")


def test_a_bad_day_is_not_tried_again_within_a_run_and_is_in_the_next(
    with_a_bad_day: Project, instance: dg.DagsterInstance
) -> None:
    first = run_stale(with_a_bad_day, only_tables, instance)
    assert made(first)["orders"] == [D1, D2, D3]
    assert made(run_stale(with_a_bad_day, only_tables, instance)) == {"orders": [D2]}


UNLUCKY = """
import pandas as pd

def daily_orders(fact_orders: pd.DataFrame) -> pd.DataFrame:
    if (fact_orders["order_id"] == "13").any():
        raise ValueError("13 is unlucky")
    by_day = fact_orders.groupby("business_date", as_index=False)
    return by_day.agg(order_count=("order_id", "count"), total_amount=("order_amount", "sum"))
"""


def test_a_function_that_breaks_on_data_is_one_line_and_leaves_the_rest(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    shop.shop_tables(tmp_path, daily_orders={"function": UNLUCKY})
    project = shop.load(tmp_path)
    drop(project, D1, "13,7,UK,1")
    drop(project, D3, "14,7,UK,1")
    summary = run_stale(project, only_tables, instance)
    assert summary.failed == [f"aggregate.daily_orders {D1}: ValueError: 13 is unlucky"]
    assert summary.exit_code == 1
    assert [str(row[0]) for row in shop.rows(project, "daily_orders")] == [D3]
    assert len(shop.rows(project, "fact_orders")) == 2


def test_a_refused_contract_is_an_error_that_names_the_command(
    tmp_path: Path, delivered: Project, instance: dg.DagsterInstance
) -> None:
    run_stale(delivered, only_tables, instance)
    columns = {"business_date": "DATE partitioned key", "order_count": "VARCHAR", "total_amount": "DECIMAL(18,3)"}
    function = (
        "def daily_orders(fact_orders):\n    f = fact_orders\n    return f.group_by('business_date').agg("
        "order_count=f.count().cast('string'), total_amount=f.order_amount.sum())"
    )
    shop.shop_tables(tmp_path, daily_orders={"columns": columns, "function": function})
    changed = shop.reload(delivered)
    drop(changed, D3, "5,7,UK,1")
    summary = run_stale(changed, only_tables, instance)
    assert summary.exit_code == 1
    (line,) = summary.failed
    assert re.fullmatch(
        r"daily_orders: its contract changed \(.*order_count.*\); run `dataplatform rebuild daily_orders --yes`", line
    )
    assert made(summary)["fact_orders"] == [D3], "what does not read it goes on"
    assert "daily_orders" not in made(summary)
    assert rebuild(changed, only_tables, instance, "daily_orders").exit_code == 0
    assert {str(row[1]) for row in shop.rows(changed, "daily_orders")} == {"1", "2"}
    assert len(make_plan(changed)) == 0


# what is missing


def test_open_days_without_a_file_are_a_warning_and_no_failure(
    delivered: Project, instance: dg.DagsterInstance
) -> None:
    summary = run_stale(delivered, only_tables, instance)
    assert summary.exit_code == 0
    assert summary.warnings == [f"raw_shop_orders: file_missing on open days: {D3}, {D4}"]


def test_many_open_days_without_a_file_are_counted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path)
    drop(project, D1, "1,7,UK,1")
    (warning,) = run_stale(project, only_tables, instance).warnings
    assert warning.endswith("on open days: 2011-01-02, 2011-01-03, 2011-01-04, 2011-01-05, 2011-01-06 and 4 more")


def test_a_file_that_belongs_to_no_day_is_a_warning(delivered: Project, instance: dg.DagsterInstance) -> None:
    (delivered.settings.landing_folder / "orders" / "notes.txt").write_text("hello", encoding="utf-8")
    summary = run_stale(delivered, build_definitions, instance)
    assert any("notes.txt" in warning for warning in summary.warnings), summary.warnings
    assert summary.exit_code == 0


def test_a_file_that_vanished_changes_nothing(delivered: Project, instance: dg.DagsterInstance) -> None:
    run_stale(delivered, only_tables, instance)
    (delivered.settings.landing_folder / "orders" / f"{D1}.csv").unlink()
    summary = run_stale(delivered, only_tables, instance)
    assert (summary.exit_code, made(summary)) == (0, {})
    assert len(shop.rows(delivered, "raw_shop_orders")) == 3


def test_a_file_without_lines_erases_no_day_and_is_read_once(delivered: Project, instance: dg.DagsterInstance) -> None:
    run_stale(delivered, only_tables, instance)
    drop(delivered, D1)
    summary = run_stale(delivered, only_tables, instance)
    assert made(summary) == {"raw_shop_orders": [D1]}
    assert summary.exit_code == 0
    kept = f"raw.raw_shop_orders {D1}: nothing was delivered, 2 published rows stay"
    assert [warning for warning in summary.warnings if warning.startswith(kept)]
    assert len(shop.rows(delivered, "raw_shop_orders")) == 3


# what is asked for by name


def test_forced_slices_are_made_whatever_their_state(delivered: Project, instance: dg.DagsterInstance) -> None:
    run_stale(delivered, only_tables, instance)
    force = forced_slices(delivered, "cleaned.orders", [D1]) | forced_slices(delivered, "dim_buyer", ["all"])
    summary = run_stale(delivered, only_tables, instance, force=force)
    assert made(summary) == {"orders": [D1], "dim_buyer": ["all"]}
    assert {s.status for outcome in summary.outcomes for s in outcome.slices.values()} == {"unchanged"}


def test_a_forced_slice_without_input_is_asked_for_once(delivered: Project, instance: dg.DagsterInstance) -> None:
    run_stale(delivered, only_tables, instance)
    summary = run_stale(delivered, only_tables, instance, force={("orders", D3)})
    assert made(summary) == {"orders": [D3]}
    assert summary.exit_code == 0
    assert f"cleaned.orders {D3}: raw_shop_orders is not published for it" in summary.warnings


def test_a_partition_that_cannot_be_is_refused_by_name(delivered: Project) -> None:
    with pytest.raises(PermanentError, match=r"cleaned\.orders has no partition 2011-13-01, 2012-01-01"):
        forced_slices(delivered, "orders", ["2012-01-01", D1, "2011-13-01"])


def test_a_rebuild_that_fails_is_in_the_summary(
    tmp_path: Path, delivered: Project, instance: dg.DagsterInstance
) -> None:
    run_stale(delivered, only_tables, instance)
    (delivered.settings.landing_folder / "orders" / f"{D1}.csv").unlink()
    summary = rebuild(delivered, only_tables, instance, "raw_shop_orders")
    assert summary.exit_code == 1
    (line,) = summary.failed
    assert "a rebuild would lose 1 published partitions" in line
    assert len(shop.rows(delivered, "raw_shop_orders")) == 3
