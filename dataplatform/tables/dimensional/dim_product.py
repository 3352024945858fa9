"""Products, and the other things the ledger charges for, as last described."""

from __future__ import annotations

import ibis
from ibis import _

from dataplatform.tables._keys import surrogate_key, unknown_member
from dataplatform.tables._time import age_rank

_CATALOGUE_STYLE = "^[^a-z]*[A-Z]{2}[^a-z]*$"
"""How the catalogue writes names: in capitals, and in several words.

The newest text that stood on a line with a price is usable. A line without one books stock, and its text is a note
about that (`damaged`, `?`, `check`, `amazon`): usable only when nothing else is known and it looks like a name.
"""


def dim_product(sales_lines: ibis.Table) -> ibis.Table:
    """One row per stock code of the ledger, and the unknown member."""
    texts = _texts(sales_lines)
    age = age_rank(texts.last_sold_at, texts.last_line_number)
    looks_named = texts.description.re_search(_CATALOGUE_STYLE) & texts.description.contains(" ")
    products = texts.group_by("stock_code").aggregate(
        description=ibis.coalesce(
            texts.description.argmax(age, where=texts.is_priced),
            texts.description.argmax(age, where=looks_named),
        ),
        charge_type=_.charge_type.max(),
        first_seen_on=_.business_date.min(),
        last_seen_on=_.business_date.max(),
    )
    members = products.select(
        surrogate_key(products.stock_code).name("product_key"),
        "stock_code",
        "description",
        "charge_type",
        (_.charge_type == "product").name("is_product"),
        "first_seen_on",
        "last_seen_on",
    )
    return members.union(_unknown())


def _texts(sales_lines: ibis.Table) -> ibis.Table:
    """Each text that stood beside a code on a day, once: far fewer rows to choose from than there are lines."""
    is_priced = (_.unit_price != 0) & _.description.notnull()
    keys = ("stock_code", "charge_type", "description", "business_date")
    return sales_lines.group_by(*keys, is_priced.name("is_priced")).aggregate(
        last_sold_at=_.sold_at.max(), last_line_number=_.line_number.max()
    )


def _unknown() -> ibis.Table:
    return unknown_member(
        "product_key",
        stock_code=ibis.null("string"),
        description=ibis.literal("Unknown"),
        charge_type=ibis.literal("unknown"),
        is_product=ibis.literal(value=False),
        first_seen_on=ibis.null("date"),
        last_seen_on=ibis.null("date"),
    )
