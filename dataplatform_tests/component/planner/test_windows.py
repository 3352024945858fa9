"""Windows: what a slice is made from, and which changes make it stale, is exactly what its window says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dataplatform.assets.slices import make_slices
from dataplatform.planner.plan import make_plan
from dataplatform.planner.waves import next_wave
from dataplatform.project import Project
from dataplatform_tests.shop import deliver, load, reload, rows, settle, shop_tables

D1, D2, D3, D4, D5 = (f"2011-01-0{n}" for n in range(1, 6))
DAILY = {"business_date": "DATE partitioned key", "total_amount": "DECIMAL(18,3)"}
BALANCES = """
def balances(orders, balance_before):
    today = orders.group_by("business_date").agg(amount=orders.order_amount.sum())
    before = balance_before.total_amount.sum().as_scalar()
    return today.select("business_date", total_amount=today.amount + ibis.coalesce(before, 0))
"""
NEW_BUYERS = """
def new_buyers(orders, earlier):
    seen = orders.anti_join(earlier, "buyer_id")
    return seen.group_by("business_date").agg(total_amount=seen.order_amount.sum())
"""
NEIGHBOURS = """
def neighbours(orders, *, slice_day):
    total = orders.aggregate(total_amount=orders.order_amount.sum())
    return total.select(business_date=ibis.literal(slice_day), total_amount=total.total_amount)
"""
CHANGES = """
def changes(orders, yesterday):
    today = orders.group_by("business_date").agg(amount=orders.order_amount.sum())
    before = yesterday.order_amount.sum().as_scalar()
    return today.select("business_date", total_amount=today.amount - ibis.coalesce(before, 0))
"""
MONTHLY = """
def monthly_orders(orders):
    month = orders.business_date.truncate("M").cast("date")
    return orders.group_by(month=month).agg(total_amount=orders.order_amount.sum())
"""


def window(parameter: str, kind: Any, table: str = "orders") -> dict[str, Any]:
    return {"parameter": parameter, "table": table, "window": kind}


TABLES: Mapping[str, tuple[str, Sequence[Any]]] = {
    "balances": (BALANCES, ["orders", window("balance_before", "previous", "balances")]),
    "new_buyers": (NEW_BUYERS, ["orders", window("earlier", "before")]),
    "neighbours": (NEIGHBOURS, [window("orders", {"back": 1, "ahead": 1})]),
    "changes": (CHANGES, ["orders", window("yesterday", "previous")]),
}


def shop_with(folder: Path, table: str, *, physical: str = "none", **settings: Any) -> Project:
    """The example shop and one daily table that reads orders through a window."""
    function, inputs = TABLES[table]
    tables = shop_tables(folder)
    custom = {"physical": "none"} if physical == "none" else {}
    tables.add("aggregate", table, DAILY, inputs=list(inputs), partitioning="day", function=function, custom=custom)
    return load(folder, **settings)


def sell(project: Project, **amounts: str) -> None:
    """One order of buyer 7 on each day, such as d1="1"."""
    for day, amount in amounts.items():
        deliver(project, f"2011-01-0{day[1:]}", [(day[1:], "7", "UK", amount)])


def totals(project: Project, table: str) -> dict[str, Decimal]:
    found = rows(project, table, "business_date", "total_amount")
    return {day.isoformat(): total for day, total in found}


def made_of(project: Project, table: str) -> list[str]:
    """Makes what is stale; the partitions of `table` that were made, in order."""
    return [partition for name, partition in settle(project) if name == table]


@pytest.mark.parametrize("physical", ["none", "partitioned"])
def test_a_table_of_its_own_previous_partition_is_made_one_by_one(tmp_path: Path, physical: str) -> None:
    shop = shop_with(tmp_path, "balances", physical=physical)
    sell(shop, d1="1", d2="2", d3="4")
    assert made_of(shop, "balances") == [D1, D2, D3]
    assert totals(shop, "balances") == {D1: Decimal(1), D2: Decimal(3), D3: Decimal(7)}
    assert not len(make_plan(shop))


def test_one_wave_makes_a_chain_whole_on_the_first_run(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances")
    sell(shop, d1="1", d2="2", d3="4")
    wave = next_wave(shop, make_plan(shop))
    assert wave is not None
    assert wave.partitions == (D1, D2, D3)
    assert {"orders", "balances"} <= set(wave.tables)


def test_a_correction_runs_down_the_chain_and_not_up(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances")
    sell(shop, d1="1", d2="2", d3="4", d4="8")
    settle(shop)
    sell(shop, d2="5")
    assert made_of(shop, "balances") == [D2, D3, D4]
    assert totals(shop, "balances") == {D1: Decimal(1), D2: Decimal(6), D3: Decimal(10), D4: Decimal(18)}
    assert not len(make_plan(shop))


def test_a_new_day_adds_to_the_chain_and_leaves_the_rest(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances")
    sell(shop, d1="1", d2="2")
    settle(shop)
    sell(shop, d3="4")
    assert made_of(shop, "balances") == [D3]
    assert totals(shop, "balances")[D3] == Decimal(7)


def test_a_late_day_enters_the_chain(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances")
    sell(shop, d1="1", d3="4", d4="8")
    settle(shop)
    assert totals(shop, "balances") == {D1: Decimal(1), D3: Decimal(4), D4: Decimal(12)}, "nothing before the 3rd"
    sell(shop, d2="2")
    assert made_of(shop, "balances") == [D2, D3, D4]
    assert totals(shop, "balances") == {D1: Decimal(1), D2: Decimal(3), D3: Decimal(7), D4: Decimal(15)}


def test_a_chain_is_not_continued_from_a_link_that_is_stale(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances")
    sell(shop, d1="1", d2="2", d3="4")
    settle(shop)
    path = tmp_path / "tables" / "aggregate" / "balances.py"
    path.write_text(path.read_text().replace("today.amount +", "2 * today.amount +"))
    shop = reload(shop)
    sell(shop, d3="5")
    assert made_of(shop, "balances") == [D1, D2, D3], "each once, and the 3rd not before the 2nd"
    assert totals(shop, "balances") == {D1: Decimal(2), D2: Decimal(6), D3: Decimal(16)}


def test_before_reads_everything_before_and_nothing_of_today(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "new_buyers")
    deliver(shop, D1, [("1", "7", "UK", "1")])
    deliver(shop, D2, [("2", "7", "UK", "2"), ("3", "8", "UK", "4")])
    deliver(shop, D4, [("4", "8", "UK", "8"), ("5", "9", "UK", "16"), ("6", "9", "UK", "32")])
    settle(shop)
    assert totals(shop, "new_buyers") == {D1: Decimal(1), D2: Decimal(4), D4: Decimal(48)}


def test_before_is_stale_by_the_past_and_not_by_the_future(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "new_buyers")
    sell(shop, d1="1", d2="2", d4="8")
    settle(shop)
    deliver(shop, D2, [("2", "9", "UK", "2")])
    assert made_of(shop, "new_buyers") == [D2, D4]
    deliver(shop, D5, [("5", "9", "UK", "1")])
    assert made_of(shop, "new_buyers") == [D5]
    assert totals(shop, "new_buyers") == {D1: Decimal(1), D2: Decimal(2)}


def test_a_range_reads_its_neighbours_where_they_are(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "neighbours")
    sell(shop, d1="1", d2="2", d3="4", d5="16")
    settle(shop)
    expected = {D1: 3, D2: 7, D3: 6, D5: 16}
    assert totals(shop, "neighbours") == {day: Decimal(total) for day, total in expected.items()}


def test_a_range_is_stale_by_its_neighbours_and_no_others(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "neighbours")
    sell(shop, d1="1", d2="2", d3="4", d4="8", d5="16")
    settle(shop)
    sell(shop, d4="9")
    assert made_of(shop, "neighbours") == [D3, D4, D5]
    sell(shop, d1="2")
    assert made_of(shop, "neighbours") == [D1, D2]


def test_a_day_that_comes_late_reaches_the_neighbours_it_did_not_have(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "neighbours")
    sell(shop, d1="1", d3="4")
    settle(shop)
    sell(shop, d2="2")
    assert sorted(made_of(shop, "neighbours")) == [D1, D2, D3]
    assert totals(shop, "neighbours") == {D1: Decimal(3), D2: Decimal(7), D3: Decimal(6)}


def test_a_slice_whose_own_day_is_missing_is_not_made_from_its_neighbours(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "neighbours")
    sell(shop, d1="1", d3="4")
    settle(shop)
    outcome = make_slices(shop, shop.catalog.get("neighbours"), [D2], run_id="asked for by hand")
    assert outcome.slices[D2].status == "left"
    assert outcome.slices[D2].warnings == ("orders is not published for it",)
    assert D2 not in totals(shop, "neighbours")


def test_two_windows_on_one_table_are_two_inputs(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "changes")
    sell(shop, d1="1", d2="5", d3="3", d4="3")
    settle(shop)
    expected = {D1: 1, D2: 4, D3: -2, D4: 0}
    assert totals(shop, "changes") == {day: Decimal(total) for day, total in expected.items()}
    sell(shop, d2="6")
    assert made_of(shop, "changes") == [D2, D3]
    assert totals(shop, "changes")[D3] == Decimal(-3)


def test_the_day_of_the_slice_is_each_slices_own(tmp_path: Path) -> None:
    function = """
def neighbours(orders, *, slice_day):
    today = orders.filter(orders.business_date == ibis.literal(slice_day))
    return today.group_by("business_date").agg(total_amount=today.order_amount.sum())
"""
    shop_tables(tmp_path).add(
        "aggregate", "neighbours", DAILY, inputs=["orders"], partitioning="day", function=function
    )
    shop = load(tmp_path)
    sell(shop, d1="1", d2="2", d3="4")
    settle(shop)
    assert totals(shop, "neighbours") == {D1: Decimal(1), D2: Decimal(2), D3: Decimal(4)}


@pytest.fixture
def months(tmp_path: Path) -> Project:
    columns = {"month": "DATE partitioned key", "total_amount": "DECIMAL(18,3)"}
    shop_tables(tmp_path).add(
        "aggregate", "monthly_orders", columns, inputs=["orders"], partitioning="month", function=MONTHLY
    )
    return load(tmp_path, start_date="2011-01-30", end_date="2011-03-01")


def by_month(project: Project) -> dict[date, Decimal]:
    return dict(rows(project, "monthly_orders", "month", "total_amount"))


def test_a_month_is_made_of_its_days(months: Project) -> None:
    for day, amount in {"2011-01-30": "1", "2011-01-31": "2", "2011-02-01": "4", "2011-02-28": "8"}.items():
        deliver(months, day, [(day, "7", "UK", amount)])
    settle(months)
    assert by_month(months) == {date(2011, 1, 1): Decimal(3), date(2011, 2, 1): Decimal(12)}
    assert not len(make_plan(months))


def test_a_month_is_stale_by_its_own_days_alone(months: Project) -> None:
    for day, amount in {"2011-01-31": "2", "2011-02-01": "4"}.items():
        deliver(months, day, [(day, "7", "UK", amount)])
    settle(months)
    deliver(months, "2011-02-02", [("n", "7", "UK", "1")])
    made = settle(months)
    assert [name for name in made if name[0] == "monthly_orders"] == [("monthly_orders", "2011-02-01")]
    assert by_month(months) == {date(2011, 1, 1): Decimal(2), date(2011, 2, 1): Decimal(5)}


def test_a_month_whose_days_stay_equal_is_left_alone(months: Project) -> None:
    deliver(months, "2011-02-01", [("1", "7", "UK", "1.0")])
    settle(months)
    deliver(months, "2011-02-01", [("1", "7", "UK", "1.00")])
    assert settle(months) == [("orders", "2011-02-01")]
