"""Column lineage of Ibis expressions and SQL statements."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.engines.lineage import named, of_expression, of_sql
from dataplatform.engines.sql_tables import qualified

ORDERS = ibis.table(
    {"order_id": "int64", "customer_id": "int64", "amount": "decimal(18,3)", "tags": "array<string>"}, name="orders"
)
PEOPLE = ibis.table({"customer_id": "int64", "country": "string"}, name="people")


def test_a_renamed_and_joined_column_is_traced_to_its_table() -> None:
    joined = ORDERS.left_join(PEOPLE, "customer_id").select("order_id", land=_.country)
    assert of_expression(joined) == {
        "order_id": frozenset({("orders", "order_id")}),
        "land": frozenset({("people", "country")}),
    }


def test_a_computed_column_comes_from_everything_it_is_computed_from() -> None:
    made = (
        ORDERS.mutate(double=_.amount * 2)
        .group_by("customer_id")
        .aggregate(total=_.double.sum(where=_.order_id > 5), lines=_.count())
    )
    assert of_expression(made) == {
        "customer_id": frozenset({("orders", "customer_id")}),
        "total": frozenset({("orders", "amount"), ("orders", "order_id")}),
        "lines": frozenset(),
    }


def test_a_window_column_also_comes_from_its_partition_and_order() -> None:
    made = ORDERS.select(rank=ibis.row_number().over(group_by="customer_id", order_by="order_id"))
    assert of_expression(made)["rank"] == {("orders", "customer_id"), ("orders", "order_id")}


def test_a_union_comes_from_both_sides_and_literals_from_nowhere() -> None:
    made = ORDERS.select(number=_.order_id, kind=ibis.literal("order")).union(
        PEOPLE.select(number=_.customer_id, kind=ibis.literal("person"))
    )
    assert of_expression(made) == {
        "number": frozenset({("orders", "order_id"), ("people", "customer_id")}),
        "kind": frozenset(),
    }


def test_filters_decide_rows_not_values() -> None:
    made = ORDERS.filter(_.customer_id.isin(PEOPLE.customer_id)).select("amount")
    assert of_expression(made) == {"amount": frozenset({("orders", "amount")})}


def test_subqueries_self_joins_and_unnested_arrays_are_followed() -> None:
    other = ORDERS.view()
    joined = ORDERS.join(other, ORDERS.order_id == other.customer_id).select(theirs=other.amount)
    assert of_expression(joined) == {"theirs": frozenset({("orders", "amount")})}
    assert of_expression(ORDERS.select(best=ORDERS.amount == PEOPLE.customer_id.max().as_scalar())) == {
        "best": frozenset({("orders", "amount"), ("people", "customer_id")})
    }
    unnested = ORDERS.unnest("tags").select("tags", "order_id")
    assert of_expression(unnested) == {
        "tags": frozenset({("orders", "tags")}),
        "order_id": frozenset({("orders", "order_id")}),
    }


def test_sql_is_traced_through_ctes_and_aliases() -> None:
    from dataplatform.contracts.sql import parse

    query = parse(
        "WITH big AS (SELECT o.*, p.country FROM orders AS o JOIN people AS p USING (customer_id)) "
        "SELECT country, sum(amount) AS total, count(*) AS lines FROM big GROUP BY country"
    )
    schemas = {
        "orders": {"order_id": "BIGINT", "customer_id": "BIGINT", "amount": "DECIMAL(18,3)"},
        "people": {"customer_id": "BIGINT", "country": "VARCHAR"},
    }
    assert of_sql(qualified(query, schemas)) == {
        "country": frozenset({("people", "country")}),
        "total": frozenset({("orders", "amount")}),
        "lines": frozenset(),
    }


def test_parameters_are_told_as_the_tables_they_stand_for() -> None:
    found = named({"total": frozenset({("now", "amount"), ("before", "amount")})}, {"now": "sales", "before": "sales"})
    assert found == {"total": frozenset({("sales", "amount")})}
