"""Freshness: each table against its contract's promise, by a clock that the test sets."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets.slices import make_slices
from dataplatform.operations.describe import tables_text
from dataplatform.operations.edit_partitions import delete_plan, empty_slices
from dataplatform.planner.freshness import Freshness, FreshnessState, Promise, freshness
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.factory import ColumnText
from dataplatform_tests.in_dagster import drop
from dataplatform_tests.shop import RAW, SOURCE, load, settle, shop_tables

FRESH, WARNING, LATE = FreshnessState
ORDER = "1,7,UK,10"
CLOSED_ON_WEDNESDAYS = {**SOURCE, "closed": {"weekdays": ["wednesday"]}}
RAW_COLUMNS: Mapping[str, ColumnText] = RAW | {
    "extra_columns": "VARCHAR", "file_name": "VARCHAR", "line_number": "INTEGER", "business_date": "DATE partitioned"
}  # fmt: skip


def promise(table: str, value: float = 26, unit: str = "h", **extra: Any) -> dict[str, Any]:
    """A table's promise that each of its days is there so long after it began."""
    element = {"element": f"{table}.business_date"}
    return {"document": {"slaProperties": [{"property": "latency", "value": value, "unit": unit, **element, **extra}]}}


def project_of(folder: Path, *, latency: Mapping[str, Any] | None = None, **settings: Any) -> Project:
    """The example shop, open every day but Wednesday; its raw and its daily table promise 26 hours."""
    given = latency or {"value": 26}
    shop_tables(
        folder,
        raw_shop_orders={"custom": {"source": CLOSED_ON_WEDNESDAYS}, **promise("raw_shop_orders", **given)},
        daily_orders=promise("daily_orders", **given),
    )
    return open_ended(folder, **settings)


def open_ended(folder: Path, today: str = "2011-01-05", **settings: Any) -> Project:
    """The platform without an end date, on a day of the test's and not of the calendar's."""
    return replace(load(folder, end_date="", **settings), last_date=date.fromisoformat(today))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Saturday 1 to Tuesday 4 January are there, made on Wednesday the 5th, which is closed. Only to be looked at."""
    project = project_of(tmp_path_factory.mktemp("shop"))
    for number in range(1, 5):
        drop(project, f"2011-01-0{number}", ORDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataplatform.assets.slices.datetime", _Clock)
        settle(project)
    return project


@pytest.fixture
def later(shop: Project, tmp_path: Path) -> Project:
    """The same shop on Friday the 7th, to go on with: what is published now is of the time of the test."""
    shutil.copytree(shop.settings.tables_dir.parent, tmp_path, dirs_exist_ok=True)
    return open_ended(tmp_path, "2011-01-07")


class _Clock(datetime):
    """What publications take for now."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime(2011, 1, 5, 0, 30, tzinfo=tz)


def states(project: Project, now: str) -> dict[str, FreshnessState]:
    return {name: found.state for name, found in freshness(project, at(now)).items()}


def raw(project: Project, now: str) -> Freshness:
    return freshness(project, at(now))["raw_shop_orders"]


def test_only_tables_that_promise_a_latency_are_judged(shop: Project) -> None:
    assert states(shop, "2011-01-05T01:00") == {"raw_shop_orders": FRESH, "daily_orders": FRESH}


def test_a_closed_day_is_never_late(shop: Project) -> None:
    assert raw(shop, "2011-01-06T23:59").state is FRESH
    assert raw(shop, "2011-01-06T23:59").newest == "2011-01-04"


def test_a_day_that_nears_its_promise_is_a_warning_and_then_late(shop: Project) -> None:
    assert raw(shop, "2011-01-07T00:59").state is FRESH
    warned = raw(shop, "2011-01-07T01:00")
    assert (warned.state, warned.soon, warned.late) == (WARNING, ("2011-01-06",), ())
    assert str(warned) == "2011-01-06 is not there yet, and due by 2011-01-07 02:00 Europe/London"
    late = raw(shop, "2011-01-07T02:00")
    assert (late.state, late.soon, late.late) == (LATE, (), ("2011-01-06",))
    assert str(late) == (
        "2011-01-06 is late; the newest with data is 2011-01-04; "
        "not published or verified since 2011-01-05 00:30 Europe/London"
    )


def test_each_late_partition_is_named_and_the_first_five_are_spelled_out(shop: Project) -> None:
    """Pain 10: Dagster knows the freshness of whole assets alone."""
    found = freshness(shop, at("2011-01-14T02:00"))["daily_orders"]
    assert found.late == tuple(f"2011-01-{n:02}" for n in (6, 7, 8, 9, 10, 11, 13))
    assert str(found).startswith(
        "2011-01-06, 2011-01-07, 2011-01-08, 2011-01-09, 2011-01-10 and 2 more are late; the newest"
    )


def test_a_day_that_arrives_late_makes_the_tables_fresh_again(later: Project) -> None:
    assert states(later, "2011-01-07T03:00") == {"raw_shop_orders": LATE, "daily_orders": LATE}
    drop(later, "2011-01-06", ORDER)
    settle(later)
    assert states(later, "2011-01-07T03:00") == {"raw_shop_orders": FRESH, "daily_orders": FRESH}


def test_a_hole_in_the_past_is_late_whatever_came_after_it(later: Project) -> None:
    drop(later, "2011-01-07", ORDER)
    make_slices(later, later.catalog.get("raw_shop_orders"), ["2011-01-07"], run_id="run")
    found = raw(later, "2011-01-08T03:00")
    assert (found.newest, found.late) == ("2011-01-07", ("2011-01-06",))


def test_a_day_that_will_never_be_delivered_is_settled_by_emptying_it(later: Project) -> None:
    contract = later.catalog.get("raw_shop_orders")
    assert delete_plan(later, contract, "2011-01-06").startswith(
        "raw.raw_shop_orders 2011-01-06 would be recorded as without rows, until a file is delivered for it; "
    )
    with dg.DagsterInstance.ephemeral() as instance:
        empty_slices(later, contract, ["2011-01-06"], instance)
    settle(later)
    assert states(later, "2011-01-07T03:00") == {"raw_shop_orders": FRESH, "daily_orders": FRESH}
    drop(later, "2011-01-06", ORDER)
    assert make_plan(later).stale["raw_shop_orders"]["2011-01-06"].reason == "delivery changed"


def test_a_file_without_records_holds_no_data(later: Project) -> None:
    drop(later, "2011-01-06")
    make_slices(later, later.catalog.get("raw_shop_orders"), ["2011-01-06"], run_id="run")
    assert raw(later, "2011-01-07T02:00").late == ("2011-01-06",)


def test_an_empty_day_of_a_table_is_there_when_what_it_is_made_from_has_rows(tmp_path: Path) -> None:
    none_is_large = "def large_orders(orders):\n    return orders.filter(orders.order_amount > 1000)"
    tables = shop_tables(tmp_path)
    columns: Mapping[str, ColumnText] = {
        "order_id": "VARCHAR key", "buyer_id": "VARCHAR", "country": "VARCHAR", "order_amount": "DECIMAL(18,3)",
        "business_date": "DATE partitioned key",
    }  # fmt: skip
    arguments = promise("large_orders")
    tables.add(
        "aggregate", "large_orders", columns, inputs=["orders"], partitioning="day", function=none_is_large, **arguments
    )
    project = load(tmp_path, end_date="2011-01-02")
    drop(project, "2011-01-01", ORDER)
    drop(project, "2011-01-02")
    settle(project)
    assert freshness(project, at("2012-01-01T00:00"))["large_orders"].late == ("2011-01-02",)
    drop(project, "2011-01-02", ORDER)
    settle(project)
    assert freshness(project, at("2012-01-01T00:00"))["large_orders"].state is FRESH


def test_a_table_that_was_never_published_is_late_as_soon_as_something_is_due(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    assert raw(project, "2011-01-01T12:00").state is FRESH
    assert str(raw(project, "2011-01-01T12:00")) == "nothing is due yet"
    assert raw(project, "2011-01-02T01:30").state is WARNING
    assert str(raw(project, "2011-01-02T02:00")) == "2011-01-01 is late; there is no data; never published"


def test_nothing_can_be_late_after_an_end_date(shop: Project) -> None:
    ended = load(shop.settings.tables_dir.parent, end_date="2011-01-04")
    assert set(states(ended, "2026-06-01T00:00").values()) == {FRESH}
    still_missing = load(shop.settings.tables_dir.parent, end_date="2011-01-06")
    found = raw(still_missing, "2026-06-01T00:00")
    assert (found.state, found.late) == (LATE, ("2011-01-06",))


def test_without_an_end_date_the_days_follow_the_clock_that_was_handed_in(shop: Project) -> None:
    assert raw(shop, "2026-06-01T00:00").late[-1] == "2026-05-30"


def test_a_contract_may_say_when_the_warning_comes(tmp_path: Path) -> None:
    warn = {"customProperties": [{"property": "warnAfter", "value": 24.5}]}
    project = project_of(tmp_path, latency={"value": 26, **warn})
    assert raw(project, "2011-01-02T00:29").state is FRESH
    assert raw(project, "2011-01-02T00:30").state is WARNING


@pytest.mark.parametrize(
    ("day", "warns", "due"),
    [
        ("2011-01-05", "2011-01-06T01:00", "2011-01-06T02:00"),
        ("2011-03-27", "2011-03-28T00:30", "2011-03-28T02:00"),  # clocks go forward: the day has 23 hours
        ("2011-10-30", "2011-10-31T00:30", "2011-10-31T01:00"),  # clocks go back: the day has 25 hours
    ],
)
def test_hours_are_elapsed_hours_on_days_on_which_clocks_change(tmp_path: Path, day: str, warns: str, due: str) -> None:
    kept = _promise(tmp_path)
    assert (kept.warns(day), kept.due(day)) == (at(warns), at(due))


@pytest.mark.parametrize(("day", "due"), [("2011-03-26", "2011-03-27T23:00"), ("2011-10-29", "2011-10-31T00:00")])
def test_days_are_counted_in_the_calendar_whatever_clocks_do(tmp_path: Path, day: str, due: str) -> None:
    assert _promise(tmp_path, value=2, unit="d").due(day) == at(due)


def _promise(folder: Path, **latency: Any) -> Promise:
    from zoneinfo import ZoneInfo

    contract = project_of(folder, latency=latency or None).catalog.get("daily_orders")
    assert contract.latency is not None
    return Promise(contract.latency, contract.grain, ZoneInfo("Europe/London"))


def test_a_promise_shorter_than_its_partition_warns_half_way(tmp_path: Path) -> None:
    assert _promise(tmp_path, value=12).warns("2011-01-05") == at("2011-01-05T06:00")


MONTHLY = """
def monthly_orders(orders):
    month = orders.business_date.truncate("M").cast("date")
    return orders.group_by(month=month).agg(order_count=orders.count())
"""


def test_a_month_is_late_until_it_was_made_from_all_of_its_open_days(tmp_path: Path) -> None:
    tables = shop_tables(tmp_path, raw_shop_orders={"custom": {"source": CLOSED_ON_WEDNESDAYS}})
    sla = [{"property": "latency", "value": 33, "unit": "d", "element": "monthly_orders.month"}]
    columns = {"month": "DATE partitioned key", "order_count": "BIGINT"}
    tables.add(
        "aggregate", "monthly_orders", columns, inputs=["orders"], partitioning="month", function=MONTHLY,
        document={"slaProperties": sla},
    )  # fmt: skip
    project = load(tmp_path, start_date="2011-01-29", end_date="2011-02-05")
    for day in ("2011-01-29", "2011-01-31", "2011-02-01"):
        drop(project, day, ORDER)
    settle(project)
    january, both = at("2011-02-03T00:00"), at("2011-03-07T00:00")
    assert freshness(project, january)["monthly_orders"].late == ("2011-01-01",)
    drop(project, "2011-01-30", ORDER)
    settle(project)
    assert freshness(project, january)["monthly_orders"].state is FRESH
    found = freshness(project, both)["monthly_orders"]
    assert str(found) == "2011-02-01 is late; which has data of some of its days"


def test_a_table_without_partitions_is_judged_by_the_largest_value_of_its_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplatform.assets.slices.datetime", _Clock)
    newest = "def newest_orders(orders):\n    return orders.select('order_id', 'business_date').distinct()"
    tables = shop_tables(tmp_path, raw_shop_orders={"custom": {"source": CLOSED_ON_WEDNESDAYS}})
    columns = {"order_id": "VARCHAR", "business_date": "DATE"}
    tables.add("aggregate", "newest_orders", columns, inputs=["orders"], function=newest, **promise("newest_orders"))
    project = open_ended(tmp_path)
    for number in range(1, 5):
        drop(project, f"2011-01-0{number}", ORDER)
    settle(project)
    assert freshness(project, at("2011-01-07T00:30"))["newest_orders"].newest == "2011-01-04"
    assert freshness(project, at("2011-01-07T00:30"))["newest_orders"].state is FRESH
    assert freshness(project, at("2011-01-07T02:00"))["newest_orders"].late == ("2011-01-06",)


def test_a_promise_without_a_column_speaks_of_the_last_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataplatform.assets.slices.datetime", _Clock)
    sla = [{"property": "latency", "value": 26, "unit": "h"}]
    shop_tables(tmp_path, dim_buyer={"document": {"slaProperties": sla}})
    project = open_ended(tmp_path)
    drop(project, "2011-01-01", ORDER)
    settle(project)
    found = {hour: freshness(project, at(hour))["dim_buyer"] for hour in ("2011-01-07T00:59", "2011-01-07T01:00")}
    assert [each.state for each in found.values()] == [FRESH, WARNING]
    late = freshness(project, at("2011-01-07T02:00"))["dim_buyer"]
    assert (late.state, late.late) == (LATE, ())
    assert str(late) == "not published or verified since 2011-01-05 00:30 Europe/London"


def test_the_list_of_tables_shows_each_state_and_says_what_is_wrong(shop: Project) -> None:
    shown = tables_text(shop, at("2011-01-07T02:00"))
    assert "  late   " in next(line for line in shown.splitlines() if "aggregate.daily_orders" in line)
    assert "raw.raw_shop_orders is late: 2011-01-06 is late; the newest with data is 2011-01-04" in shown
    assert " is late" not in tables_text(shop, at("2011-01-06T02:00"))


def test_days_of_a_zone_far_from_london_begin_at_its_own_midnight(tmp_path: Path) -> None:
    project = project_of(tmp_path, business_zone="Pacific/Auckland")
    assert raw(project, "2011-01-01T12:59").late == ()
    assert raw(project, "2011-01-01T13:00").late == ("2011-01-01",)
