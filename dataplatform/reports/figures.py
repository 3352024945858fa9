"""The report's figures: what is asked of the warehouse, and of the lake's quality history.

A section whose tables are not there, or are empty, is None and is left out of the page. Money stays decimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from dataplatform.errors import PermanentError
from dataplatform.warehouse.store import Warehouse

if TYPE_CHECKING:
    import duckdb

    from dataplatform.project import Project

Row = Mapping[str, Any]
TOP = 10
"""How many countries and products are named; the rest is summed up."""

_LAST_DAY = """
SELECT day.*, before.business_date AS before_date, before.net_amount AS before_net_amount,
       before.order_count AS before_order_count, before.unit_count AS before_unit_count,
       before.customer_count AS before_customer_count, before.average_order_amount AS before_average_order_amount
FROM aggregate.daily_sales AS day
LEFT JOIN aggregate.daily_sales AS before ON before.business_date = day.business_date - 7
ORDER BY day.business_date DESC
LIMIT 1
"""
_DAYS = "SELECT business_date, net_amount FROM aggregate.daily_sales ORDER BY business_date"
_MONTHS = """
SELECT date_trunc('month', business_date)::DATE AS month, count(*) AS day_count, max(business_date) AS last_date,
       sum(order_count) AS order_count, sum(unit_count) AS unit_count, sum(gross_amount) AS gross_amount,
       sum(cancelled_amount) AS cancelled_amount, sum(net_amount) AS net_amount
FROM aggregate.daily_sales
GROUP BY ALL
ORDER BY month
"""
_COUNTRIES = """
SELECT country_name AS name, sum(order_count) AS order_count, sum(unit_count) AS unit_count,
       sum(net_amount) AS net_amount
FROM aggregate.daily_country_sales
GROUP BY ALL
ORDER BY net_amount DESC, name
"""
_PRODUCTS = """
SELECT coalesce(product.description, sales.stock_code) AS name, sales.stock_code,
       sum(sales.unit_count) AS unit_count, sum(sales.net_amount) AS net_amount
FROM aggregate.monthly_product_sales AS sales
JOIN dimensional.dim_product AS product USING (product_key)
WHERE product.is_product
GROUP BY ALL
ORDER BY net_amount DESC, name
"""
_COHORTS = """
SELECT cohort_start_date AS month, months_since_first AS age, customer_count, active_customer_count, active_ratio
FROM aggregate.monthly_customer_cohorts
ORDER BY month, age
"""
_TABLES = """
SELECT table_name, sum(row_count) AS row_count, count(*) AS slice_count, max(published_at) AS published_at,
       max(partition) FILTER (row_count > 0 AND partition <> 'all') AS newest,
       arg_max(run_id, published_at) AS run_id
FROM platform.loaded_slices
GROUP BY table_name
ORDER BY table_name
"""


@dataclass(frozen=True)
class Figures:
    """Everything the page shows, as asked of one warehouse file."""

    digest: str
    refreshed_at: Any
    tables: Sequence[Row]
    last_day: Row | None
    days: Sequence[Row]
    months: Sequence[Row]
    countries: Top | None
    products: Top | None
    cohorts: Cohorts | None

    @property
    def run_id(self) -> str | None:
        """The run that published the newest day."""
        newest = [table for table in self.tables if table["table_name"] == "aggregate.daily_sales"]
        return str(newest[0]["run_id"]) if newest and newest[0]["run_id"] else None


@dataclass(frozen=True)
class Top:
    """The first rows by net, and the sum of the others.

    Each row has its `share` of all (0 to 1) and the length of its `bar`, which is 1 for the longest.
    """

    rows: Sequence[Row]
    other_count: int
    other_net_amount: Any
    other_share: float


@dataclass(frozen=True)
class Cohorts:
    """Per month of the first line: customers, and the share of them active after 0, 1, 2, … months (or None)."""

    ages: Sequence[int]
    rows: Sequence[tuple[date, int, Sequence[float | None]]]


def read_figures(project: Project) -> Figures:
    """Raises PermanentError when there is no warehouse, or its tables are not those of this shop."""
    import duckdb

    try:
        return _read(Warehouse(project))
    except duckdb.BinderException as error:
        raise PermanentError(
            f"the sales report reads a column that the warehouse does not have: {str(error).splitlines()[0]}; "
            "change dataplatform/reports/figures.py along with the table's contract"
        ) from error


def _read(warehouse: Warehouse) -> Figures:
    with closing(warehouse.connect()) as connection:
        there = {f"{row['schema_name']}.{row['table_name']}" for row in _rows(connection, _THERE)}

        def ask(sql: str, *tables: str) -> list[Row]:
            return _rows(connection, sql) if there.issuperset(tables) else []

        last_day = ask(_LAST_DAY, "aggregate.daily_sales")
        return Figures(
            digest=warehouse.loaded().digest,
            refreshed_at=_rows(connection, "SELECT max(loaded_at) AS at FROM platform.loaded_tables")[0]["at"],
            tables=ask(_TABLES),
            last_day=last_day[0] if last_day else None,
            days=ask(_DAYS, "aggregate.daily_sales"),
            months=ask(_MONTHS, "aggregate.daily_sales"),
            countries=_top(ask(_COUNTRIES, "aggregate.daily_country_sales")),
            products=_top(ask(_PRODUCTS, "aggregate.monthly_product_sales", "dimensional.dim_product")),
            cohorts=_cohorts(ask(_COHORTS, "aggregate.monthly_customer_cohorts")),
        )


_THERE = "SELECT schema_name, table_name FROM duckdb_tables()"


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    found = connection.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _top(rows: list[Row]) -> Top | None:
    if not rows:
        return None
    total = sum(row["net_amount"] for row in rows)
    named, others = rows[:TOP], rows[TOP:]
    other = sum((row["net_amount"] for row in others), start=total * 0)
    longest = max(named[0]["net_amount"], total * 0)
    shares = [
        {
            **row,
            "share": float(row["net_amount"] / total) if total else 0.0,
            "bar": max(0.0, float(row["net_amount"] / longest)) if longest else 0.0,
        }
        for row in named
    ]
    return Top(shares, len(others), other, float(other / total) if total else 0.0)


def _cohorts(rows: list[Row]) -> Cohorts | None:
    if not rows:
        return None
    ages = range(max(row["age"] for row in rows) + 1)
    held: dict[date, dict[int, Row]] = {}
    for row in rows:
        held.setdefault(row["month"], {})[row["age"]] = row
    last = max(_number(month) + age for month, found in held.items() for age in found)
    table = [
        (
            month,
            int(next(iter(found.values()))["customer_count"]),
            # nobody active in a month that has been is 0; a month still to come is not known
            [
                float(found[age]["active_ratio"]) if age in found else (0.0 if _number(month) + age <= last else None)
                for age in ages
            ],
        )
        for month, found in held.items()
    ]
    return Cohorts(tuple(ages), table)


def _number(month: date) -> int:
    return month.year * 12 + month.month
