"""What each customer has bought, how they rank by recency, frequency and money, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from dataplatform.tables._money import money_sum

if TYPE_CHECKING:
    import ibis.expr.types as ir

_SCORES = 5


def customer_metrics(fact_sales: ibis.Table, *, new_days: int, active_days: int, engaged_days: int) -> ibis.Table:
    """One row per customer with at least one ledger line. "Today" is the last business day with lines."""
    is_order = _.line_type == "sale"
    grouped = fact_sales.group_by("customer_id").aggregate(
        order_count=_.invoice_no.nunique(where=is_order),
        lifetime_amount=money_sum(fact_sales.net_amount),
        first_order_date=_.business_date.min(where=is_order),
        last_order_date=_.business_date.max(where=is_order),
        first_line_date=_.business_date.min(),
        last_line_date=_.business_date.max(),
    )
    # before lines without a customer are left out: their days count too
    dated = grouped.mutate(last_business_date=_.last_line_date.max().over())
    customers = dated.filter(_.customer_id.notnull())
    known_days = customers.last_business_date.delta(customers.first_line_date, unit="day")
    return customers.select(
        "customer_id",
        "order_count",
        "lifetime_amount",
        "first_order_date",
        "last_order_date",
        score(customers, "last_order_date").name("recency_score"),
        score(customers, "order_count").name("frequency_score"),
        score(customers, "lifetime_amount").name("monetary_score"),
        lifecycle_stage(known_days, new_days, active_days, engaged_days).name("lifecycle_stage"),
    )


def score(customers: ibis.Table, measure: str) -> ir.IntegerColumn:
    """1 for the fifth of the customers with the least, 5 for that with the most; nothing at all counts as least.

    The customer's id decides between equals: without it every run could draw the line elsewhere.
    """
    order = [customers[measure].asc(nulls_first=True), customers.customer_id.asc()]
    return ibis.ntile(_SCORES).over(order_by=order) + 1


def lifecycle_stage(known_days: ir.IntegerValue, new_days: int, active_days: int, engaged_days: int) -> ir.StringValue:
    """Where a customer stands, by the days since the first line; each threshold is the first day of the next stage."""
    return ibis.cases(
        (known_days < new_days, "new"),
        (known_days < active_days, "active"),
        (known_days < engaged_days, "engaged"),
        else_="dormant",
    )
