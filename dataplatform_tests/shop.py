"""The example shop of the tests: raw orders, orders, a versioned dimension, a fact and a daily aggregate.

Small enough to know every row, and with the traits that matter: a quarantine, a lookup, partitions, reconciliation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataplatform.assets.candidates import Candidate
from dataplatform.assets.slices import Outcome, make_slices
from dataplatform.contracts.schema import arrow_schema
from dataplatform.planner.plan import make_plan
from dataplatform.planner.renewal import renew_records
from dataplatform.planner.waves import next_wave
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.factory import TableFactory

FIRST, LAST = "2011-01-01", "2011-01-10"
DAY = "DATE partitioned"
RAW = {"order_id": "VARCHAR", "buyer_id": "VARCHAR", "country": "VARCHAR", "amount": "VARCHAR"}
SOURCE = {"kind": "landing", "folder": "orders", "columns": {name: name for name in RAW}}
PROVENANCE = {"extra_columns": "VARCHAR", "file_name": "VARCHAR", "line_number": "INTEGER", "business_date": DAY}
ORDERS = """
def orders(raw_shop_orders):
    t = raw_shop_orders
    number = t.amount.re_search(r"^-?[0-9]+([.][0-9]{1,3})?$")
    errors = ibis.ifelse(number, ibis.literal(None, "array<string>"), ibis.array([ibis.literal("unparseable:amount")]))
    return t.select(
        order_id=t.order_id, buyer_id=t.buyer_id, country=t.country,
        order_amount=t.amount.try_cast("decimal(18,3)"), business_date=t.business_date, _row_errors=errors,
    )
"""
DIM_BUYER = """
def dim_buyer(orders):
    newest = orders.group_by(["buyer_id", "business_date"]).agg(
        country=orders.country.argmax(orders.order_id), n=orders.count())
    w = ibis.window(group_by="buyer_id", order_by="business_date")
    marked = newest.mutate(before=newest.country.lag().over(w), place=ibis.row_number().over(w))
    changes = marked.filter((marked.place == 0) | (marked.country != marked.before))
    w = ibis.window(group_by="buyer_id", order_by="business_date")
    first = ibis.date(1900, 1, 1)
    starts = ibis.ifelse(changes.place == 0, first, changes.business_date)
    ends = ibis.coalesce(changes.business_date.lead().over(w), ibis.date(9999, 12, 31))
    return changes.select(
        buyer_key=changes.buyer_id.cast("int64") * 100000 + ibis.ifelse(changes.place == 0, 0, 1)
        * changes.business_date.day_of_year().cast("int64"),
        buyer_id=changes.buyer_id, country=changes.country, valid_from=starts, valid_to=ends,
    )
"""
FACT_ORDERS = """
def fact_orders(orders, dim_buyer):
    joined = orders.left_join(dim_buyer, [
        orders.buyer_id == dim_buyer.buyer_id, orders.business_date >= dim_buyer.valid_from,
        orders.business_date < dim_buyer.valid_to])
    return joined.select(
        order_id=orders.order_id, buyer_key=ibis.coalesce(dim_buyer.buyer_key, 0), buyer_id=orders.buyer_id,
        order_amount=orders.order_amount, business_date=orders.business_date)
"""
DAILY_ORDERS = """
def daily_orders(fact_orders):
    return fact_orders.group_by("business_date").agg(
        order_count=fact_orders.count(), total_amount=fact_orders.order_amount.sum())
"""


def shop_tables(folder: Path, **changes: Mapping[str, Any]) -> TableFactory:
    """Writes the shop's five tables; `changes` replaces arguments of single tables, by table name."""
    tables = TableFactory(folder)

    def add(layer: str, name: str, columns: Mapping[str, Any], **arguments: Any) -> None:
        changed = {"columns": columns, **arguments, **changes.get(name, {})}
        tables.add(layer, name, changed.pop("columns"), **changed)

    lookup = {"column": "buyer_id", "references": "buyer_id", "uses": ["buyer_key"]}
    add("raw", "raw_shop_orders", RAW | PROVENANCE, partitioning="day", custom={"source": SOURCE})
    order = {"order_id": "VARCHAR key", "buyer_id": "VARCHAR private", "country": "VARCHAR"}
    amount = ("DECIMAL(18,3)", {"logicalTypeOptions": {"minimum": 0}})
    add(
        "cleaned", "orders", {**order, "order_amount": amount, "business_date": "DATE partitioned key"},
        inputs=["raw_shop_orders"], partitioning="day", function=ORDERS,
        custom={"rowPreserving": ["raw_shop_orders"], "quarantineShare": 0.5},
    )  # fmt: skip
    identity = {"id": "buyer_id", "key": "buyer_key", "validFrom": "valid_from", "validTo": "valid_to"}
    add(
        "dimensional", "dim_buyer",
        {"buyer_key": "BIGINT key", "buyer_id": "VARCHAR private", "country": "VARCHAR", "valid_from": "DATE required",
         "valid_to": "DATE required"},
        inputs=["orders"], function=DIM_BUYER, custom={"dimension": identity},
    )  # fmt: skip
    add(
        "dimensional", "fact_orders",
        {"order_id": "VARCHAR key", "buyer_key": "BIGINT required", "buyer_id": "VARCHAR private",
         "order_amount": "DECIMAL(18,3)", "business_date": "DATE partitioned key"},
        inputs=["orders", {"table": "dim_buyer", "window": "all", "lookup": lookup}], partitioning="day",
        function=FACT_ORDERS, custom={"rowPreserving": ["orders"]},
    )  # fmt: skip
    add(
        "aggregate", "daily_orders",
        {"business_date": "DATE partitioned key", "order_count": "BIGINT", "total_amount": "DECIMAL(18,3)"},
        inputs=["fact_orders"], partitioning="day", function=DAILY_ORDERS, custom={"physical": "none"},
    )  # fmt: skip
    return tables


def load(folder: Path, **settings: Any) -> Project:
    """The project over the tables in `folder`, with its data beside them and ten days in January 2011."""
    (folder / "landing").mkdir(parents=True, exist_ok=True)
    given = {"start_date": FIRST, "end_date": LAST, "landing": folder / "landing", **settings}
    return Project.load(Settings.load(data_dir=folder / "data", tables=folder / "tables", **given))


def deliver(project: Project, day: str, orders: Sequence[tuple[str, str, str, str]], run: str = "delivery") -> Outcome:
    """Publishes one day of raw orders (order, buyer, country, amount), as if a file had been read."""
    contract = project.catalog.get("raw_shop_orders")
    names = ("order_id", "buyer_id", "country", "amount")
    rows = [{**dict(zip(names, order, strict=True)), "business_date": date.fromisoformat(day)} for order in orders]
    data = pa.Table.from_pylist(rows, schema=arrow_schema(contract))

    def maker(session: Any, _target: Any, partitions: Sequence[str]) -> Candidate:
        return Candidate(session.from_arrow(data), tuple(partitions))

    return make_slices(project, contract, [day], run_id=run, maker=maker)


def settle(project: Project, run: str = "run", select: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Makes what is stale until nothing is, without Dagster; returns the slices made, in order."""
    made: list[tuple[str, str]] = []
    failed: set[tuple[str, str]] = set()
    while True:
        plan = make_plan(project, select=select, failed=failed)
        renew_records(project, plan)
        wave = next_wave(project, plan)
        if wave is None:
            return made
        for table in wave.tables:
            contract = project.catalog.get(table)
            partitions = wave.partitions if contract.is_partitioned else ("all",)
            outcome = make_slices(project, contract, partitions, run_id=run)
            made += [(table, partition) for partition in outcome.slices]
            failed |= {(table, s.partition) for s in outcome.slices.values() if not s.is_published}
            if outcome.failed:
                break


def rows(project: Project, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """The published rows of a table, sorted, as tuples."""
    contract = project.catalog.get(table)
    with project.session() as session:
        opened = session.open(project.lake.table(contract).open(), None, columns)
        found = session.connection.sql(str(session.backend.compile(opened))).fetchall()
    return sorted(found, key=str)


def reload(project: Project) -> Project:
    """The same project with its tables read again from disk."""
    return replace(Project.load(project.settings))
