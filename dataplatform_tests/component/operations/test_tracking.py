"""What run tracking says now: the latest step of each table, and what failed and was not made since."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataplatform.assets.slices import make_slices
from dataplatform.operations.tracking import Tracking, latest_table_runs
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests import small_shop
from dataplatform_tests.in_dagster import drop
from dataplatform_tests.shop import load, settle, shop_tables
from dataplatform_tests.small_shop import DAYS, run

D1, D2 = "2011-01-01", "2011-01-02"
BAD = "1,7,UK,x"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def failed(tracking: Tracking) -> list[tuple[str, str, int]]:
    return [(slice_.table_name, slice_.partition, slice_.attempts) for slice_ in tracking.failed]


def test_a_slice_stays_failed_until_it_is_published(shop: Project) -> None:
    drop(shop, D1, BAD)
    drop(shop, D2, "2,7,UK,1")
    settle(shop)
    settle(shop, run="again")
    tracking = latest_table_runs(shop)
    assert failed(tracking) == [("orders", D1, 2)]
    (slice_,) = tracking.failed
    assert (slice_.run_id, slice_.error_kind) == ("again", "permanent")
    assert "quarantine_share" in slice_.problem
    assert slice_.since < slice_.last
    assert tracking.latest["orders"].status == "failed"
    drop(shop, D1, "1,7,UK,1")
    settle(shop)
    cleared = latest_table_runs(shop)
    assert failed(cleared) == []
    assert cleared.latest["orders"].status == "published"
    drop(shop, D1, BAD)
    settle(shop)
    assert failed(latest_table_runs(shop)) == [("orders", D1, 1)], "a failure after that counts from there"


def test_a_slice_that_came_right_without_being_made_is_left_out_by_the_plan(shop: Project) -> None:
    drop(shop, D1, "1,7,UK,1")
    settle(shop)
    before = shop.settings.landing_folder / "orders" / f"{D1}.csv"
    shutil.copy2(before, before.with_suffix(".kept"))
    before.write_text("order_id\n1\n", encoding="utf-8")
    settle(shop)
    assert failed(latest_table_runs(shop)) == [("raw_shop_orders", D1, 1)]
    shutil.move(before.with_suffix(".kept"), before)
    stale = {(slice_.table, slice_.partition) for slice_ in make_plan(shop).slices()}
    assert failed(latest_table_runs(shop)) == [("raw_shop_orders", D1, 1)]
    assert failed(latest_table_runs(shop, stale=stale)) == []


def test_a_table_that_is_no_more_is_not_failed(shop: Project) -> None:
    drop(shop, D1, "1,7,UK,1")
    settle(shop)
    daily = shop.catalog.get("daily_orders")
    daily.path.with_suffix(".py").unlink()
    daily.path.unlink()
    without = Project.load(shop.settings)
    assert set(latest_table_runs(without).latest) == {"raw_shop_orders", "orders", "dim_buyer", "fact_orders"}


def test_nothing_was_tracked_before_the_first_run(shop: Project) -> None:
    assert latest_table_runs(shop) == Tracking({}, [])


def test_left_slices_are_neither_failed_nor_good(shop: Project) -> None:
    drop(shop, D1, BAD)
    settle(shop)
    make_slices(shop, shop.catalog.get("fact_orders"), [D1], run_id="left")
    assert failed(latest_table_runs(shop)) == [("orders", D1, 1)]


def test_a_whole_run_tracks_its_serving_steps_and_the_history_outlives_the_instance(tmp_path: Path) -> None:
    settings = small_shop.make_shop(tmp_path)
    project = Project.load(settings)
    run(settings)
    tracked = latest_table_runs(project)
    assert {name: each.layer for name, each in tracked.latest.items() if each.layer == "serving"} == {
        "warehouse": "serving",
        "sales_report": "serving",
    }
    assert {each.status for each in tracked.latest.values()} == {"published"}
    shutil.rmtree(settings.dagster_home)
    run(settings)
    assert latest_table_runs(project).latest.keys() == tracked.latest.keys()
    lines = latest_table_runs(project).latest["fact_orders"]
    assert lines == tracked.latest["fact_orders"], "a run with nothing to do leaves no row"
    assert lines.last_partition == DAYS[3]
