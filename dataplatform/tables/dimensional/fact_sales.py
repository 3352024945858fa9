"""Sales at the grain of the ledger's line, each with the versions of its dimensions that were valid on its day."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.tables._keys import UNKNOWN_KEY, date_key

_LINES_PER_DAY = 100_000_000


def fact_sales(
    sales_lines: ibis.Table, dim_customer: ibis.Table, dim_product: ibis.Table, dim_location: ibis.Table
) -> ibis.Table:
    """One row per line, whatever it is: members that a dimension does not know are its unknown member."""
    day = date_key(sales_lines.business_date)
    amount = sales_lines.quantity * sales_lines.unit_price
    is_discount = sales_lines.charge_type == "discount"
    nothing = ibis.literal(0).cast("decimal(18,3)")
    versions = dim_customer.select("customer_id", "customer_key", "valid_from", "valid_to")
    in_version = [
        sales_lines.customer_id == versions.customer_id,
        sales_lines.business_date >= versions.valid_from,
        sales_lines.business_date < versions.valid_to,
    ]
    joined = (
        sales_lines.left_join(versions, in_version)
        .left_join(dim_product.select("stock_code", "product_key"), "stock_code")
        .left_join(dim_location.select("country", "location_key"), "country")
    )
    return joined.select(
        (day.cast("int64") * _LINES_PER_DAY + sales_lines.line_number).name("sale_key"),
        day.name("date_key"),
        _.customer_key.fill_null(UNKNOWN_KEY).name("customer_key"),
        sales_lines.customer_id,
        _.product_key.fill_null(UNKNOWN_KEY).name("product_key"),
        sales_lines.stock_code,
        _.location_key.fill_null(UNKNOWN_KEY).name("location_key"),
        "invoice_no",
        "line_number",
        "line_type",
        "charge_type",
        "sold_at",
        "quantity",
        "unit_price",
        is_discount.ifelse(nothing, amount).name("total_amount"),
        is_discount.ifelse(-amount, nothing).name("discount_amount"),
        amount.name("net_amount"),
        sales_lines.business_date,
    )
