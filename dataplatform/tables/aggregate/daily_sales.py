"""What each day brought in: orders, lines, units, and money before and after cancellations."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.tables._money import divide_half_up, money_sum


def daily_sales(fact_sales: ibis.Table) -> ibis.Table:
    """One row per day that has lines."""
    is_cancellation = _.line_type == "cancellation"
    days = fact_sales.group_by("business_date").aggregate(
        order_count=_.invoice_no.nunique(where=_.line_type == "sale"),
        line_count=_.count(),
        unit_count=_.quantity.sum(),
        gross_amount=money_sum(fact_sales.net_amount, where=~is_cancellation),
        cancelled_amount=-money_sum(fact_sales.net_amount, where=is_cancellation),
        net_amount=money_sum(fact_sales.net_amount),
        customer_count=_.customer_id.nunique(),
    )
    average = divide_half_up(days.gross_amount, days.order_count)
    return days.mutate(average_order_amount=average)
