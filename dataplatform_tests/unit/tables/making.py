"""Makes a shipped table from a few rows of its inputs, cast and staged as in a run; and rows with sensible defaults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

import dataplatform.tables
from dataplatform.contracts.functions import TableFunction, load_function
from dataplatform.contracts.model import Contract
from dataplatform.contracts.reader import read_contract
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.duckdb import DuckDBInstance, DuckDBSession
from dataplatform.engines.frames import from_frame, to_frame
from dataplatform.engines.sql_tables import to_ibis

TABLES = Path(dataplatform.tables.__file__).parent
Row = dict[str, Any]


@cache
def contract(name: str) -> Contract:
    return read_contract(next(TABLES.glob(f"*/{name}.yaml")))


@cache
def function(name: str) -> TableFunction:
    return load_function(contract(name), TABLES)


def make(table: str, settings: Mapping[str, Any] | None = None, **inputs: Sequence[Row]) -> list[Row]:
    """The rows of `table`; columns that an input's rows leave out are NULL. Fails where a cast changes a value."""
    promised, session = contract(table), _session()
    for wanted in promised.inputs:
        given = _select(inputs[wanted.parameter], contract(wanted.table), wanted.columns)
        session.connection.register(_name(table, wanted.parameter), given)
    staged = session.stage(_candidate(table, tuple((settings or {}).items())), promised)
    assert not any(staged.rounded.values())
    rows = session.connection.sql(str(session.backend.compile(staged.table))).to_arrow_table()
    return [dict(row) for row in rows.to_pylist()]


@cache
def _session() -> DuckDBSession:
    """One for all tests: building expressions and connections takes longer than running them."""
    return DuckDBInstance(threads=1).session()


def _name(table: str, parameter: str) -> str:
    return f"{parameter}_of_{table}"


def _candidate(table: str, settings: tuple[tuple[str, Any], ...]) -> ibis.Table:
    """What the function makes of the rows that are registered now."""
    return _frame(table, settings) if function(table).kind == "pandas" else _expression(table, settings)


@cache
def _expression(table: str, settings: tuple[tuple[str, Any], ...]) -> ibis.Table:
    """As a view over the names of the registered rows, so that it is built and compiled once for all tests."""
    made_by, bound = function(table), {**contract(table).settings, **dict(settings)}
    backend = _session().backend
    opened = {name: backend.table(_name(table, name)) for name in made_by.parameters}
    made = to_ibis(backend, made_by, opened, bound) if made_by.call is None else made_by.call(*opened.values(), **bound)
    view = f"{table}_{abs(hash(settings))}"
    _session().connection.execute(f"CREATE TEMP VIEW {view} AS {backend.compile(made)}")
    return backend.table(view)


def _frame(table: str, settings: tuple[tuple[str, Any], ...]) -> ibis.Table:
    made_by, bound = function(table), {**contract(table).settings, **dict(settings)}
    given = [_session().connection.table(_name(table, name)).to_arrow_table() for name in made_by.parameters]
    assert made_by.call is not None
    return _session().from_arrow(from_frame(made_by.call(*map(to_frame, given), **bound), contract(table)))


def one(rows: Sequence[Row], **values: Any) -> Row:
    """The only row with these values."""
    found = [row for row in rows if all(row[name] == value for name, value in values.items())]
    assert len(found) == 1, f"{len(found)} rows with {values}"
    return found[0]


def _select(rows: Sequence[Row], source: Contract, columns: Sequence[str]) -> pa.Table:
    unknown = {name for row in rows for name in row} - set(source.column_names)
    assert not unknown, f"{source.name} has no columns {unknown}"
    table = pa.Table.from_pylist(list(rows), schema=arrow_schema(source))
    return table.select(list(columns)) if columns else table


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def delivered(**changes: Any) -> Row:
    """A delivered line that nothing is wrong with."""
    moment = changes.get("invoice_date", "2011-01-10 09:30:00")
    return {
        "invoice": "540001",
        "stock_code": "85123A",
        "description": "WHITE HANGING HEART T-LIGHT HOLDER",
        "quantity": "6",
        "invoice_date": moment,
        "price": "2.55",
        "customer_id": "17850",
        "country": "United Kingdom",
        "file_name": "2011-01-10.csv.gz",
        "line_number": 1,
        "business_date": day("2011-01-10"),
        **changes,
    }


def line(on: str = "2011-01-10", at: str = "09:30:00", **changes: Any) -> Row:
    """A cleaned ledger line of the day `on`, sold at `at` UTC."""
    return {
        "business_date": day(on),
        "file_name": f"{on}.csv.gz",
        "line_number": 1,
        "invoice_no": "540001",
        "stock_code": "85123A",
        "description": "WHITE HANGING HEART",
        "quantity": 6,
        "unit_price": Decimal("2.550"),
        "sold_at": instant(f"{on} {at}"),
        "customer_id": 17850,
        "country": "United Kingdom",
        "line_type": "sale",
        "charge_type": "product",
        **changes,
    }


def sale(on: str = "2011-01-10", net: str = "15.300", **changes: Any) -> Row:
    """A row of fact_sales."""
    return {
        "customer_id": 17850,
        "product_key": 11,
        "stock_code": "85123A",
        "location_key": 21,
        "invoice_no": "540001",
        "line_type": "sale",
        "charge_type": "product",
        "quantity": 6,
        "net_amount": Decimal(net),
        "business_date": day(on),
        **changes,
    }
