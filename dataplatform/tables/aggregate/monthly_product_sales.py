"""What each product, and each other thing charged for, sold in a month."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.tables._money import money_sum


def monthly_product_sales(fact_sales: ibis.Table) -> ibis.Table:
    """One row per month and stock code with lines."""
    is_cancellation = _.line_type == "cancellation"
    day = fact_sales.business_date
    months = fact_sales.group_by(
        day.year().name("calendar_year"), day.month().name("month_of_year"), "stock_code"
    ).aggregate(
        # the unknown member's key is the lowest: a code that was known on any day is known
        product_key=_.product_key.max(),
        line_count=_.count(),
        unit_count=_.quantity.sum(),
        gross_amount=money_sum(fact_sales.net_amount, where=~is_cancellation),
        cancelled_amount=-money_sum(fact_sales.net_amount, where=is_cancellation),
        net_amount=money_sum(fact_sales.net_amount),
    )
    return months.mutate(month_start_date=ibis.date(_.calendar_year, _.month_of_year, 1)).drop(
        "calendar_year", "month_of_year"
    )
