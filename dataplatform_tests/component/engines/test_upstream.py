"""What Ibis, DuckDB and sqlglot do that binding and the lint lean on: an upgrade that changes it fails here by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import ibis
import ibis.expr.operations as ops
import pytest
from ibis.common.exceptions import OperationNotDefinedError, UnsupportedOperationError

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = ibis.duckdb.connect()
    found.con.execute("CREATE TABLE t (amount DECIMAL(18,3), day DATE, label VARCHAR, sold_at TIMESTAMPTZ)")
    yield found
    found.disconnect()


T = ibis.table({"amount": "decimal(18,3)", "day": "date", "label": "string", "sold_at": "timestamp('UTC')"}, name="t")


def described(backend: Backend, value: ibis.Value) -> str:
    sql = backend.compile(T.select(found=value))
    return str(backend.con.execute(f"DESCRIBE {sql}").fetchall()[0][1])


def spark(value: ibis.Value) -> str:
    return " ".join(str(ibis.to_sql(T.select(found=value), dialect="pyspark")).split())


def test_ibis_declares_another_decimal_than_duckdb_delivers(backend: Backend) -> None:
    product = T.amount * T.amount
    assert str(product.type()) == "decimal(18, 3)"
    assert described(backend, product) == "DECIMAL(18,6)"


def test_ibis_drops_a_cast_it_believes_idle(backend: Backend) -> None:
    assert described(backend, (T.amount * T.amount).cast("decimal(18,3)")) == "DECIMAL(18,6)"


def test_duckdb_truncates_a_date_to_a_timestamp(backend: Backend) -> None:
    assert described(backend, T.day.truncate("M")) == "TIMESTAMP"


def test_ibis_drops_the_zone_of_a_cast() -> None:
    assert spark(T.label.cast("timestamp('Europe/London')")) == spark(T.label.cast("timestamp('UTC')"))


def test_strip_on_spark_names_letters_that_spark_would_eat() -> None:
    assert r"\v\f" in spark(T.label.strip())


@pytest.mark.parametrize(
    "value",
    [
        T.sold_at.microsecond(),
        T.amount.kurtosis(),
        T.label.collect(order_by=T.day),
        T.label.group_concat(order_by=T.day),
    ],
    ids=["microsecond", "kurtosis", "ordered collect", "ordered text"],
)
def test_spark_has_no_such_operation(value: ibis.Value) -> None:
    with pytest.raises((UnsupportedOperationError, OperationNotDefinedError)):
        spark(value)


def test_tables_made_in_a_transaction_are_gone_after_its_rollback(backend: Backend) -> None:
    backend.con.execute("BEGIN")
    backend.con.execute("CREATE TEMP TABLE passing (a INTEGER)")
    backend.con.execute("ROLLBACK")
    assert "passing" not in backend.list_tables()


def test_an_expression_tree_shows_every_node_once() -> None:
    twice = T.select(a=T.label.strip(), b=T.label.strip())
    assert len(twice.op().find(ops.Strip)) == 1
