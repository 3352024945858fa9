"""Where the kernel's parts meet: lost records, neighbours at work at the same time, rebuilds, changed contracts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dataplatform.assets import candidates, slices
from dataplatform.assets.candidates import Candidate
from dataplatform.assets.slices import make_slices
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.duckdb import DuckDBInstance
from dataplatform.errors import PermanentError, ShapeError
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.lake.records import FOLDER
from dataplatform.planner.plan import make_plan
from dataplatform.planner.renewal import renew_records
from dataplatform.project import Project
from dataplatform_tests.component.planner.test_windows import sell, shop_with, totals
from dataplatform_tests.shop import FACT_ORDERS, ORDERS, deliver, load, reload, rows, settle, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
UK = ("1", "7", "UK", "1")
FACT_COLUMNS = {
    "order_id": "VARCHAR key",
    "buyer_key": "BIGINT required",
    "buyer_id": "VARCHAR private",
    "order_amount": "DECIMAL(18,3)",
    "business_date": "DATE partitioned key",
}


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def stale(project: Project, table: str) -> list[str]:
    return [found.partition for found in make_plan(project).slices() if found.table == table]


def stored(project: Project, table: str) -> pa.Table:
    """What lies in the lake, in the types it is stored in."""
    found: pa.Table = project.lake.table(project.catalog.get(table)).open().dataset().to_table()
    return found


def meanwhile(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Lets `action` happen once, after a step opened its inputs and before its function is called."""
    call = candidates._Reading.call

    def late(self: candidates._Reading, partitions: Sequence[str]) -> ibis.Table:
        monkeypatch.setattr(candidates._Reading, "call", call)
        action()
        return call(self, partitions)

    monkeypatch.setattr(candidates._Reading, "call", late)


# lost records


def test_unrecorded_rows_of_another_day_do_not_get_into_a_slice(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(shop, D1, [UK])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(slices, "write_record", crash)
        with pytest.raises(KeyboardInterrupt):
            deliver(shop, D2, [("2", "7", "UK", "1")])
    assert len(rows(shop, "raw_shop_orders")) == 2, "the second day was committed and not recorded"
    outcome = make_slices(shop, shop.catalog.get("orders"), [D1], run_id="run")
    assert outcome.slices[D1].status == "published"
    assert rows(shop, "orders", "order_id") == [("1",)]


def test_a_rebuild_does_not_lose_a_day_whose_record_was_lost(shop: Project) -> None:
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    for table in ("raw_shop_orders", "orders"):
        for path in (shop.lake.table(shop.catalog.get(table)).folder / FOLDER).glob("*.json"):
            path.write_text("damaged")
    deliver(shop, D2, [("2", "7", "UK", "1")])  # the input of day 2 is known again, that of day 1 is not
    orders = shop.catalog.get("orders")
    with pytest.raises(PermanentError, match=rf"would lose 1 published partitions \({D1}: raw_shop_orders is not"):
        make_slices(shop, orders, shop.keys(orders), run_id="rebuild", rewrite=True)
    assert [str(row[0]) for row in rows(shop, "orders", "business_date")] == [D1, D2]


# neighbours at work


def test_an_input_republished_while_the_step_runs_is_no_broken_promise(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(shop, D1, [UK])
    meanwhile(monkeypatch, lambda: deliver(shop, D1, [UK, ("2", "7", "UK", "1")]))
    outcome = make_slices(shop, shop.catalog.get("orders"), [D1], run_id="run")
    assert (outcome.slices[D1].status, outcome.slices[D1].problems) == ("published", ())
    assert stale(shop, "orders") == [D1]


def test_relationships_are_judged_on_the_dimension_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ("BIGINT required", {"relationships": [{"type": "foreignKey", "to": "dim_buyer.buyer_key"}]})
    shop_tables(tmp_path, fact_orders={"columns": {**FACT_COLUMNS, "buyer_key": key}})
    shop = load(tmp_path)
    deliver(shop, D1, [UK])
    deliver(shop, D2, [("2", "7", "FR", "1")])
    settle(shop, select=["orders", "dim_buyer"])

    def the_version_vanishes() -> None:
        deliver(shop, D2, [("2", "7", "UK", "1")])
        settle(shop, select=["orders", "dim_buyer"])

    meanwhile(monkeypatch, the_version_vanishes)
    outcome = make_slices(shop, shop.catalog.get("fact_orders"), [D2], run_id="run")
    assert (outcome.slices[D2].status, outcome.slices[D2].problems) == ("published", ())
    assert D2 in stale(shop, "fact_orders")


def test_a_renewal_is_not_for_rows_published_after_the_plan(shop: Project) -> None:
    deliver(shop, D1, [UK])
    deliver(shop, D2, [("2", "8", "UK", "1")])
    settle(shop)
    fact = shop.catalog.get("fact_orders")
    then = shop.lake.table(fact).open().state.slices[D1]
    deliver(shop, D3, [("9", "9", "FR", "1")])
    settle(shop, select=["orders", "dim_buyer"])
    plan = make_plan(shop, select=["fact_orders"])
    assert D1 in plan.renewable["fact_orders"]
    late = {"order_id": "5", "buyer_key": 0, "buyer_id": "9", "order_amount": Decimal(1)}

    def slow(session: Any, _target: Any, wanted: Sequence[str]) -> Candidate:
        """A run that read the dimension before buyer 9 was in it."""
        data = pa.Table.from_pylist([{**late, "business_date": date(2011, 1, 1)}], schema=arrow_schema(fact))
        read = {"orders": {D1: 1}}
        return Candidate(session.from_arrow(data), tuple(wanted), inputs={D1: then.inputs}, input_rows=read)

    make_slices(shop, fact, [D1], run_id="slow", maker=slow)
    renew_records(shop, plan)
    assert D1 in stale(shop, "fact_orders")


def test_the_history_of_rules_tells_each_verdict_once_when_a_step_was_overtaken(shop: Project) -> None:
    deliver(shop, D1, [UK])
    contract = shop.catalog.get("raw_shop_orders")
    attempts: list[str] = []

    def slow(session: Any, _target: Any, wanted: Sequence[str]) -> Candidate:
        attempts.append("attempt")
        if len(attempts) == 1:
            deliver(shop, D1, [("1", "7", "UK", "2")], run="other")
        row = {"order_id": "1", "amount": str(len(attempts)), "business_date": date(2011, 1, 1)}
        return Candidate(session.from_arrow(pa.Table.from_pylist([row], schema=arrow_schema(contract))), tuple(wanted))

    make_slices(shop, contract, [D1], run_id="slow", maker=slow)
    assert len(attempts) == 2
    told = PlatformTables(shop.lake.root).read("quality", "rule_results").pending
    assert told is not None
    rules = [row["rule"] for row in told.to_pylist() if row["run_id"] == "slow"]
    assert rules
    assert len(rules) == len(set(rules))


@pytest.mark.parametrize("shared", [True, False], ids=["of_one_instance", "of_two_instances"])
def test_two_sessions_that_spill_at_once_both_give_right_results(tmp_path: Path, shared: bool) -> None:
    instances = [DuckDBInstance("60MB", tmp_path, threads=1) for _ in range(1 if shared else 2)]

    def work(seed: int) -> tuple[Any, ...] | None:
        with instances[seed % len(instances)].session() as session:
            session.connection.execute(
                f"CREATE TEMP TABLE t AS SELECT range AS n, hash(range + {seed}) AS h, "
                f"repeat(chr(65 + {seed}), 40) || range AS s FROM range(1000000)"
            )
            right = f"count(*) FILTER (h = hash(n + {seed})), count(*) FILTER (s = repeat(chr(65 + {seed}), 40) || n)"
            spilled = bool([path for path in tmp_path.rglob("*") if path.is_file()])
            found = session.connection.execute(f"SELECT {right} FROM t").fetchone()
            return None if found is None else (spilled, *found)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (1, 2))) == [(True, 1000000, 1000000)] * 2
    instances.clear()
    assert list(tmp_path.iterdir()) == []


# dimensions


def test_a_change_of_the_unknown_member_concerns_facts_without_an_id(tmp_path: Path) -> None:
    dim = """
        def dim_buyer(orders):
            o = orders.filter(orders.buyer_id.notnull()).select('buyer_id').distinct()
            known = o.select(buyer_key=o.buyer_id.cast('int64'), buyer_id=o.buyer_id)
            none = ibis.range(0, 1).unnest().name('n').as_table().select(
                buyer_key=ibis.literal(0, 'int64'), buyer_id=ibis.null('string'))
            return known.union(none)
    """
    fact = """
        def fact_orders(orders, dim_buyer):
            j = orders.left_join(dim_buyer, orders.buyer_id.identical_to(dim_buyer.buyer_id))
            return j.select(
                order_id=orders.order_id, buyer_key=dim_buyer.buyer_key, buyer_id=orders.buyer_id,
                order_amount=orders.order_amount, business_date=orders.business_date)
    """
    columns = {"buyer_key": "BIGINT key", "buyer_id": "VARCHAR private"}
    identity = {"dimension": {"id": "buyer_id", "key": "buyer_key"}}
    lookup = {"column": "buyer_id", "references": "buyer_id", "uses": ["buyer_key"]}
    inputs = ["orders", {"table": "dim_buyer", "window": "all", "lookup": lookup}]
    changes: dict[str, Any] = {
        "dim_buyer": {"columns": columns, "function": dim, "custom": identity},
        "fact_orders": {"function": fact, "inputs": inputs},
    }
    shop_tables(tmp_path, **changes)
    shop = load(tmp_path)
    deliver(shop, D1, [("1", None, "UK", "1")])  # type: ignore[list-item] # an order of nobody
    settle(shop)
    assert rows(shop, "fact_orders", "buyer_key") == [(0,)]
    changes["dim_buyer"]["function"] = dim.replace("ibis.literal(0, 'int64')", "ibis.literal(-1, 'int64')")
    shop_tables(tmp_path, **changes)
    shop = reload(shop)
    settle(shop)
    assert rows(shop, "fact_orders", "buyer_key") == [(-1,)]


# ranges and rebuilds


def test_a_rebuild_of_a_windowed_table_gives_the_same_rows(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "neighbours", physical="partitioned")
    sell(shop, d1="1", d2="2", d3="4", d4="8")
    settle(shop)
    before = totals(shop, "neighbours")
    contract = shop.catalog.get("neighbours")
    make_slices(shop, contract, shop.keys(contract), run_id="rebuild", rewrite=True)
    assert totals(shop, "neighbours") == before


def test_a_table_that_reads_itself_is_not_rebuilt_in_one_piece(tmp_path: Path) -> None:
    shop = shop_with(tmp_path, "balances", physical="partitioned")
    sell(shop, d1="1", d2="2", d3="4", d4="8")
    settle(shop)
    before = totals(shop, "balances")
    contract = shop.catalog.get("balances")
    told = r"aggregate\.balances reads its own earlier partitions.*move .*balances away and run `dataplatform run`"
    with pytest.raises(PermanentError, match=told):
        make_slices(shop, contract, shop.keys(contract), run_id="rebuild", rewrite=True)
    assert totals(shop, "balances") == before
    shutil.rmtree(shop.lake.table(contract).folder)
    settle(shop)
    assert totals(shop, "balances") == before, "what the message says to do makes the same rows"


def test_a_value_that_fits_no_column_fails_its_own_day_alone(tmp_path: Path) -> None:
    narrow = {"business_date": "DATE partitioned key", "order_count": "BIGINT", "total_amount": "DECIMAL(4,3)"}
    shop_tables(tmp_path, daily_orders={"columns": narrow})
    shop = load(tmp_path)
    for day, amount in ((D1, "1"), (D2, "34"), (D3, "2")):
        deliver(shop, day, [(day[-1], "7", "UK", amount)])
    settle(shop, select=["orders", "dim_buyer", "fact_orders"])
    daily = shop.catalog.get("daily_orders")
    outcome = make_slices(shop, daily, [D1, D2, D3], run_id="range")
    assert {p: s.status for p, s in outcome.slices.items()} == {D1: "published", D2: "failed", D3: "published"}
    with pytest.raises(ShapeError) as alone:
        make_slices(shop, daily, [D2], run_id="single")
    assert outcome.slices[D2].problems == (str(alone.value),)
    assert [str(row[0]) for row in rows(shop, "daily_orders", "business_date")] == [D1, D3]


def test_a_rebuild_works_where_rows_stand_in_quarantine(tmp_path: Path) -> None:
    def orders_with(kind: str, value: str) -> None:
        columns = {"order_id": "VARCHAR key", "buyer_id": "VARCHAR private", "country": "VARCHAR"}
        amount = ("DECIMAL(18,3)", {"logicalTypeOptions": {"minimum": 0}})
        more = {"order_amount": amount, "note": kind, "business_date": "DATE partitioned key"}
        function = ORDERS.replace("order_id=t.order_id,", f"order_id=t.order_id, note={value},")
        shop_tables(tmp_path, orders={"columns": {**columns, **more}, "function": function})

    orders_with("BIGINT", "ibis.literal(1, 'int64')")
    shop = load(tmp_path)
    deliver(shop, D1, [UK, ("2", "7", "UK", "x")])
    settle(shop, select=["orders"])
    orders_with("VARCHAR", "ibis.literal('one')")
    shop = reload(shop)
    orders = shop.catalog.get("orders")
    make_slices(shop, orders, shop.keys(orders), run_id="rebuild", rewrite=True)
    assert rows(shop, "orders", "note") == [("one",)]
    held = DeltaTable(PlatformTables(shop.lake.root).quarantine_uri("orders")).to_pyarrow_table()
    assert held["note"].to_pylist() == ["one"]


# contracts that change


def test_a_slice_written_before_a_column_was_added_can_be_read_by_itself(tmp_path: Path) -> None:
    shop_tables(tmp_path)
    shop = load(tmp_path)
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    noted = FACT_ORDERS.replace("order_id=orders.order_id,", "order_id=orders.order_id, note=ibis.literal('n'),")
    shop_tables(tmp_path, fact_orders={"columns": {**FACT_COLUMNS, "note": "VARCHAR"}, "function": noted})
    shop = reload(shop)
    fact = shop.catalog.get("fact_orders")
    make_slices(shop, fact, [D2], run_id="run")
    with shop.session() as session:
        for day, note in ((D1, None), (D2, "n")):
            opened = session.open(shop.lake.table(fact).open(), [day], ["note"])
            assert session.connection.sql(str(session.backend.compile(opened))).fetchall() == [(note,)]


NEVER = [{"id": "never", "type": "library", "metric": "rowCount", "mustBe": 99}]


def test_a_contract_may_change_while_nothing_was_published_yet(tmp_path: Path) -> None:
    shop_tables(tmp_path, daily_orders={"quality": NEVER})
    shop = load(tmp_path)
    deliver(shop, D1, [UK])
    settle(shop)
    assert rows(shop, "daily_orders") == []
    columns = {"business_date": "DATE partitioned key", "order_count": "VARCHAR", "total_amount": "DECIMAL(18,3)"}
    function = """
        def daily_orders(fact_orders):
            return fact_orders.group_by("business_date").agg(
                order_count=fact_orders.count().cast("string"), total_amount=fact_orders.order_amount.sum())
    """
    shop_tables(tmp_path, daily_orders={"columns": columns, "function": function})
    shop = reload(shop)
    settle(shop)
    assert stored(shop, "daily_orders")["order_count"].to_pylist() == ["1"]


def test_money_keeps_its_digits_when_the_contract_changed_before_the_first_publication(tmp_path: Path) -> None:
    pence = {"business_date": "DATE partitioned key", "order_count": "BIGINT", "total_amount": "DECIMAL(18,2)"}
    shop_tables(tmp_path, daily_orders={"columns": pence, "quality": NEVER})
    shop = load(tmp_path)
    deliver(shop, D1, [("1", "7", "UK", "1.25")])
    settle(shop)
    assert rows(shop, "daily_orders") == []
    shop_tables(tmp_path)
    shop = reload(shop)
    deliver(shop, D1, [("1", "7", "UK", "1.125")])
    settle(shop)
    assert stored(shop, "daily_orders")["total_amount"].to_pylist() == [Decimal("1.125")]
