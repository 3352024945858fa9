"""The laws everything else leans on, each by name, on the example shop."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataplatform.assets import slices
from dataplatform.assets.candidates import Candidate
from dataplatform.assets.slices import make_slices
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import OvertakenError, ShapeError
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.lake.versions import find_version
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests.shop import ORDERS, deliver, load, reload, rows, settle, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def stale(project: Project) -> list[tuple[str, str]]:
    return [(s.table, s.partition) for s in make_plan(project).slices()]


# one commit per publication


def test_a_range_is_published_in_one_commit_that_names_its_run(shop: Project) -> None:
    for day in (D1, D2, D3):
        deliver(shop, day, [("1", "7", "UK", "1.5")])
    orders = shop.catalog.get("orders")
    before = shop.lake.table(orders).open_to_publish().version
    make_slices(shop, orders, [D1, D2, D3], run_id="the-run")
    assert shop.lake.table(orders).open().version == before + 1
    assert find_version(shop.lake.table(orders), "the-run", "UTC").number == before + 1


def test_a_large_range_goes_in_chunks_bounded_by_rows(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (D1, D2, D3):
        deliver(shop, day, [("1", "7", "UK", "1.5"), ("2", "7", "UK", "1.5")])
    monkeypatch.setattr(slices, "CHUNK_ROWS", 4)
    orders = shop.catalog.get("orders")
    before = shop.lake.table(orders).open_to_publish().version
    make_slices(shop, orders, [D1, D2, D3], run_id="run")
    assert shop.lake.table(orders).open().version == before + 2
    assert len(rows(shop, "orders")) == 6


def test_a_function_that_returns_rows_of_another_day_publishes_nothing(tmp_path: Path) -> None:
    moved = ORDERS.replace("business_date=t.business_date", "business_date=t.business_date + ibis.interval(days=1)")
    shop_tables(tmp_path, orders={"function": moved})
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "1.5")])
    with pytest.raises(ShapeError, match=rf"cleaned\.orders {D1}: rows outside the slice .*1 rows of {D2}"):
        make_slices(shop, shop.catalog.get("orders"), [D1], run_id="run")
    assert rows(shop, "orders") == []


# a range is judged by the day


def test_a_range_with_a_bad_day_equals_single_day_runs(tmp_path: Path) -> None:
    days = {
        D1: [("1", "7", "UK", "1")],
        D2: [("2", "7", "UK", "x"), ("3", "7", "UK", "y")],
        D3: [("4", "7", "UK", "z"), ("5", "7", "UK", "2")],
    }
    found = []
    for name, requests in (("range", [[D1, D2, D3]]), ("single", [[D1], [D2], [D3]])):
        shop_tables(tmp_path / name)
        shop = load(tmp_path / name)
        for day, orders in days.items():
            deliver(shop, day, orders)
        status: dict[str, Any] = {}
        for request in requests:
            outcome = make_slices(shop, shop.catalog.get("orders"), request, run_id="run")
            status |= {p: (s.status, s.rows, s.quarantined, s.problems) for p, s in outcome.slices.items()}
        held = PlatformTables(shop.lake.root).quarantined_counts("orders")
        found.append((status, rows(shop, "orders"), held))
    assert found[0] == found[1]
    statuses = {p: s[0] for p, s in found[0][0].items()}
    assert statuses == {D1: "published", D2: "failed", D3: "published"}
    assert found[0][2] == {D2: 2, D3: 1}


def test_a_failed_rewrite_leaves_the_old_partition_untouched(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    settle(shop)
    before = rows(shop, "orders")
    deliver(shop, D1, [("1", "7", "UK", "broken")])
    outcome = make_slices(shop, shop.catalog.get("orders"), [D1], run_id="run")
    assert outcome.slices[D1].status == "failed"
    assert outcome.slices[D1].problems == (
        "quarantine_share: expected at most 50% of the rows quarantined, found 100% (1 of 1 rows)",
    )
    assert rows(shop, "orders") == before


# an overtaken run cannot win


def test_an_overtaken_step_is_run_again_from_its_inputs(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    contract = shop.catalog.get("raw_shop_orders")
    calls = itertools.count(1)

    def slow(session: Any, _target: Any, partitions: Any) -> Candidate:
        attempt = next(calls)
        if attempt == 1:  # while this run is at work, another publishes the corrected day
            deliver(shop, D1, [("1", "7", "UK", "2")], run="other")
        row = {
            "order_id": "1",
            "buyer_id": "7",
            "country": "UK",
            "amount": f"from attempt {attempt}",
            "business_date": date(2011, 1, 1),
        }
        return Candidate(
            session.from_arrow(pa.Table.from_pylist([row], schema=arrow_schema(contract))), tuple(partitions)
        )

    make_slices(shop, contract, [D1], run_id="slow", maker=slow)
    assert rows(shop, "raw_shop_orders", "amount") == [("from attempt 2",)]


def test_a_step_that_is_always_overtaken_gives_up_with_a_transient_error(shop: Project) -> None:
    numbers = itertools.count(10)
    contract = shop.catalog.get("raw_shop_orders")

    def unlucky(session: Any, _target: Any, partitions: Any) -> Candidate:
        deliver(shop, D1, [("1", "7", "UK", str(next(numbers)))], run="other")
        row = {"order_id": "1", "buyer_id": "7", "country": "UK", "amount": "mine", "business_date": date(2011, 1, 1)}
        return Candidate(
            session.from_arrow(pa.Table.from_pylist([row], schema=arrow_schema(contract))), tuple(partitions)
        )

    with pytest.raises(OvertakenError, match="another run published it meanwhile"):
        make_slices(shop, contract, [D1], run_id="slow", maker=unlucky)
    assert "mine" not in str(rows(shop, "raw_shop_orders", "amount"))


# staleness is decided by the lake


def test_everything_is_made_once_and_then_nothing_is_stale(shop: Project) -> None:
    for day in (D1, D2):
        deliver(shop, day, [("1", "7", "UK", "1")])
    made = settle(shop)
    assert len(made) == len(set(made)) == 2 * 3 + 1
    assert stale(shop) == []


def test_publishing_equal_rows_wakes_nobody_downstream(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1"), ("2", "8", "FR", "2")])
    settle(shop)
    version = shop.lake.table(shop.catalog.get("raw_shop_orders")).open().version
    outcome = deliver(shop, D1, [("2", "8", "FR", "2"), ("1", "7", "UK", "1")], run="again")
    assert outcome.slices[D1].status == "unchanged"
    assert shop.lake.table(shop.catalog.get("raw_shop_orders")).open().version == version
    assert stale(shop) == []


def test_a_corrected_day_makes_exactly_what_it_changes(shop: Project) -> None:
    for day in (D1, D2, D3):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    deliver(shop, D2, [("2", "7", "UK", "5")])
    assert settle(shop) == [("orders", D2), ("dim_buyer", "all"), ("fact_orders", D2), ("daily_orders", D2)]
    totals = dict(rows(shop, "daily_orders", "business_date", "total_amount"))
    assert totals[date(2011, 1, 2)] == Decimal("5.000")


def test_a_change_that_an_intermediate_table_absorbs_stops_there(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1.0")])
    settle(shop)
    deliver(shop, D1, [("1", "7", "UK", "1.00")])
    assert settle(shop) == [("orders", D1)]


def test_changed_code_makes_its_table_stale_and_comments_do_not(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "1")])
    settle(shop)
    path = tmp_path / "tables" / "aggregate" / "daily_orders.py"
    path.write_text("# a remark\n" + path.read_text())
    assert stale(reload(shop)) == []
    path.write_text(path.read_text().replace("fact_orders.count()", "fact_orders.order_id.nunique()"))
    assert stale(reload(shop)) == [("daily_orders", D1)]


def test_a_changed_setting_makes_its_table_stale(tmp_path: Path) -> None:
    function = """
        def daily_orders(fact_orders, *, least: int):
            f = fact_orders
            return f.group_by('business_date').agg(
                order_count=f.count(), total_amount=f.order_amount.sum()).filter(ibis._.order_count >= least)
    """
    custom = {"physical": "none", "settings": {"least": 1}}
    shop_tables(tmp_path, daily_orders={"function": function, "custom": custom})
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "1")])
    settle(shop)
    shop_tables(tmp_path, daily_orders={"function": function, "custom": {**custom, "settings": {"least": 2}}})
    (slice_,) = make_plan(reload(shop)).slices()
    assert (slice_.table, slice_.reason) == ("daily_orders", "setting changed: least")


def test_a_crash_between_commit_and_record_makes_the_slice_again(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    orders = shop.catalog.get("orders")
    monkeypatch.setattr(slices, "write_record", crash)
    with pytest.raises(KeyboardInterrupt):
        make_slices(shop, orders, [D1], run_id="killed")
    monkeypatch.undo()
    assert len(rows(shop, "orders")) == 1, "the commit was made"
    assert ("orders", D1) in stale(shop)
    settle(shop)
    assert len(rows(shop, "orders")) == 1
    assert stale(shop) == []


# history does not move under facts


def test_a_new_member_leaves_other_days_facts_alone(shop: Project) -> None:
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    deliver(shop, D3, [("9", "8", "FR", "1")])
    made = settle(shop)
    assert [name for name in made if name[0] == "fact_orders"] == [("fact_orders", D3)]
    assert stale(shop) == []


def test_a_late_version_moves_only_the_facts_inside_its_interval(shop: Project) -> None:
    days = {D1: "UK", D2: "UK", D3: "DE", "2011-01-04": "FR", "2011-01-05": "FR"}
    for day, country in days.items():
        deliver(shop, day, [(day[-1], "7", country, "1"), ("10" + day[-1], "8", "UK", "1")])
    settle(shop)
    before = rows(shop, "fact_orders", "business_date", "buyer_id", "buyer_key")
    # buyer 7 turns out to have moved to DE on the 2nd already: the 2nd and the 3rd get the key of that version
    deliver(shop, D2, [("2", "7", "DE", "1"), ("102", "8", "UK", "1")])
    made = settle(shop)
    assert [partition for table, partition in made if table == "fact_orders"] == [D2, D3]
    after = rows(shop, "fact_orders", "business_date", "buyer_id", "buyer_key")
    moved = sorted(row[:2] for row in set(before) - set(after))
    assert moved == [(date(2011, 1, 2), "7"), (date(2011, 1, 3), "7")]
    assert stale(shop) == []


def test_every_order_of_arrival_gives_the_same_tables(tmp_path: Path) -> None:
    days = {
        D1: [("1", "7", "UK", "1")],
        D2: [("2", "7", "FR", "1")],
        D3: [("3", "7", "UK", "1"), ("4", "8", "UK", "1")],
    }
    found = []
    for number, order in enumerate(itertools.permutations(days)):
        shop_tables(tmp_path / str(number))
        shop = load(tmp_path / str(number))
        for day in order:
            deliver(shop, day, days[day])
            settle(shop)
        found.append([rows(shop, table) for table in ("dim_buyer", "fact_orders", "daily_orders")])
    assert all(each == found[0] for each in found)


def test_facts_that_hold_the_unknown_key_are_made_again_when_their_member_appears(tmp_path: Path) -> None:
    by_key = {"column": "buyer_key", "references": "buyer_key", "uses": ["buyer_key"]}
    dim = """
        def dim_buyer(orders):
            o = orders.filter(orders.country != 'hidden').select('buyer_id').distinct()
            known = o.select(buyer_key=o.buyer_id.cast('int64'), buyer_id=o.buyer_id)
            none = ibis.range(0, 1).unnest().name('n').as_table().select(
                buyer_key=ibis.literal(0, 'int64'), buyer_id=ibis.null('string'))
            return known.union(none)
    """
    fact = """
        def fact_orders(orders, dim_buyer):
            j = orders.left_join(dim_buyer, orders.buyer_id == dim_buyer.buyer_id)
            return j.select(
                order_id=orders.order_id, buyer_key=ibis.coalesce(dim_buyer.buyer_key, 0),
                buyer_id=orders.buyer_id, order_amount=orders.order_amount, business_date=orders.business_date)
    """
    identity = {"dimension": {"id": "buyer_id", "key": "buyer_key"}}
    inputs = ["orders", {"table": "dim_buyer", "window": "all", "lookup": by_key}]
    columns = {"buyer_key": "BIGINT key", "buyer_id": "VARCHAR private"}
    changes: dict[str, Any] = {
        "dim_buyer": {"columns": columns, "function": dim, "custom": identity},
        "fact_orders": {"function": fact, "inputs": inputs},
    }
    shop_tables(tmp_path, **changes)
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "hidden", "1")])
    deliver(shop, D2, [("2", "8", "UK", "1")])
    settle(shop)
    assert rows(shop, "fact_orders", "buyer_id", "buyer_key") == [("7", 0), ("8", 8)]
    deliver(shop, D3, [("3", "7", "UK", "1")])
    made = settle(shop)
    assert sorted(name for name in made if name[0] == "fact_orders") == [("fact_orders", D1), ("fact_orders", D3)]
    assert rows(shop, "fact_orders", "buyer_id", "buyer_key") == [("7", 7), ("7", 7), ("8", 8)]


def test_an_attribute_of_the_unknown_member_that_nobody_uses_moves_no_facts(tmp_path: Path) -> None:
    dim = """
        def dim_buyer(orders):
            known = orders.group_by('buyer_id').agg(order_count=orders.count())
            known = known.select(
                buyer_key=known.buyer_id.cast('int64'), buyer_id=known.buyer_id, order_count=known.order_count)
            total = orders.agg(order_count=orders.count())
            none = total.select(
                buyer_key=ibis.literal(0, 'int64'), buyer_id=ibis.null('string'), order_count=total.order_count)
            return known.union(none)
    """
    fact = """
        def fact_orders(orders, dim_buyer):
            j = orders.left_join(dim_buyer, orders.buyer_id == dim_buyer.buyer_id)
            return j.select(
                order_id=orders.order_id, buyer_key=ibis.coalesce(dim_buyer.buyer_key, 0),
                buyer_id=orders.buyer_id, order_amount=orders.order_amount, business_date=orders.business_date)
    """
    columns = {"buyer_key": "BIGINT key", "buyer_id": "VARCHAR private", "order_count": "BIGINT"}
    identity = {"dimension": {"id": "buyer_id", "key": "buyer_key"}}
    changes: dict[str, Any] = {
        "dim_buyer": {"columns": columns, "function": dim, "custom": identity},
        "fact_orders": {"function": fact},
    }
    shop_tables(tmp_path, **changes)
    shop = load(tmp_path)
    for day in (D1, D2, D3):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
        made = settle(shop)
        assert [name for name in made if name[0] == "fact_orders"] == [("fact_orders", day)]
