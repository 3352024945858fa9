"""Customers and, as versions, the countries their invoices named over time."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.tables._keys import FIRST_DAY, OPEN_END, surrogate_key, unknown_member
from dataplatform.tables._time import age_rank

NOT_STATED = "Unspecified"
"""The ledger's own word for a country that nobody wrote down."""


def dim_customer(sales_lines: ibis.Table) -> ibis.Table:
    """One row per customer and stretch of days with one country, and the unknown member."""
    changes = _changes(sales_lines)
    is_first = changes.previous_country.isnull()
    by_day = ibis.window(group_by="customer_id", order_by="business_date")
    versions = changes.select(
        "customer_id",
        "country",
        first_seen_on=_.business_date.min().over(group_by="customer_id"),
        valid_from=is_first.ifelse(ibis.literal(FIRST_DAY), changes.business_date),
        valid_to=_.business_date.lead().over(by_day).fill_null(OPEN_END),
    )
    members = versions.select(
        surrogate_key(versions.customer_id, versions.valid_from).name("customer_key"),
        "customer_id",
        "country",
        "first_seen_on",
        "valid_from",
        "valid_to",
        is_current=_.valid_to == OPEN_END,
    )
    return members.union(_unknown())


def _changes(sales_lines: ibis.Table) -> ibis.Table:
    """Days on which a customer's country was not that of the day before: the newest line of a day decides."""
    named = sales_lines.filter(_.customer_id.notnull()).mutate(country=_.country.fill_null(NOT_STATED))
    seen = named.group_by("customer_id", "business_date", "country").aggregate(
        last_sold_at=_.sold_at.max(), last_line_number=_.line_number.max()
    )
    age = age_rank(seen.last_sold_at, seen.last_line_number)
    days = seen.group_by("customer_id", "business_date").aggregate(country=seen.country.argmax(age))
    by_day = ibis.window(group_by="customer_id", order_by="business_date")
    compared = days.mutate(previous_country=_.country.lag().over(by_day))
    return compared.filter(~_.country.identical_to(_.previous_country))


def _unknown() -> ibis.Table:
    return unknown_member(
        "customer_key",
        customer_id=ibis.null("int64"),
        country=ibis.literal("Unknown"),
        first_seen_on=ibis.null("date"),
        valid_from=ibis.literal(FIRST_DAY),
        valid_to=ibis.literal(OPEN_END),
        is_current=ibis.literal(value=True),
    )
