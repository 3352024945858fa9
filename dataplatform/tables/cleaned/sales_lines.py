"""Delivered ledger lines, typed and named. What cannot be read, sells nothing or is of another day says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from dataplatform.tables._text import tidy
from dataplatform.tables._time import is_skipped, to_utc_timestamp

if TYPE_CHECKING:
    import ibis.expr.types as ir

CHARGE_TYPES = {
    "postage": ("POST", "DOT", "C2", "23444"),
    "manual": ("M",),
    "discount": ("D",),
    "sample": ("S",),
    "fee": ("BANK CHARGES", "AMAZONFEE"),
    "charity": ("CRUK",),
    "accessory": ("PADS",),
    "bad_debt": ("B",),
    "gift_voucher": ("22016",),
}
"""Stock codes that are no product, by what they charge for. Gift vouchers are also all codes `GIFT_…`.

23444 is carriage for the next day and 22016 a voucher over £100, both numbered like products; `PADS` are cushion
pads given along at a nominal price. `DCGS…` are products in spite of their letters.
"""

_MOMENT = r"^\d{4}-\d{2}-\d{2} ([01]\d|2[0-3]):[0-5]\d:[0-5]\d$"
_WHOLE = r"^-?\d+$"
_WHOLE_THAT_FITS = r"^-?\d{1,18}$"
_PLAIN = r"^-?\d+(\.\d{1,3})?$"
_PLAIN_THAT_FITS = r"^-?\d{1,15}(\.\d{1,3})?$"
_INT32 = 2**31
_SHOWN = 40


def sales_lines(raw_ledger_sales_lines: ibis.Table, *, business_zone: str) -> ibis.Table:
    """One row per delivered line. Texts are read before the join: stored columns are then read once per value."""
    raw = raw_ledger_sales_lines
    stock_code = tidy(raw.stock_code).upper()
    read = raw.select(
        _.business_date,
        _.file_name,
        _.line_number,
        invoice_no=tidy(raw.invoice).upper(),
        stock_code=stock_code,
        charge_type=charge_type(stock_code),
        description=tidy(raw.description),
        quantity=_int32(_whole(raw.quantity)),
        unit_price=_price(raw.price),
        customer_id=_whole(raw.customer_id),
        country=tidy(raw.country),
        quantity_text=_.quantity,
        price_text=_.price,
        moment_text=_.invoice_date,
        customer_text=_.customer_id,
    )
    clock = local_clock(raw, business_zone)
    lines = read.left_join(clock, read.moment_text == clock.moment)
    return lines.select(
        "business_date",
        "file_name",
        "line_number",
        "invoice_no",
        "stock_code",
        "description",
        "quantity",
        "unit_price",
        _.instant.name("sold_at"),
        "customer_id",
        "country",
        line_type(lines).name("line_type"),
        "charge_type",
        row_errors(lines).name("_row_errors"),
    )


def line_type(lines: ibis.Table) -> ir.StringValue:
    """What a line is, by the first rule that holds."""
    return ibis.cases(
        (lines.invoice_no.startswith("C"), "cancellation"),
        (lines.invoice_no.startswith("A"), "adjustment"),
        ((lines.unit_price == 0) | (lines.quantity < 0), "stock_movement"),
        else_="sale",
    )


def charge_type(stock_code: ir.StringValue) -> ir.StringValue:
    """What a stock code charges for, whatever kind of line it stands on."""
    named = [(stock_code.isin(codes), charge) for charge, codes in CHARGE_TYPES.items()]
    return ibis.cases((stock_code.startswith("GIFT_"), "gift_voucher"), *named, else_="product")


def local_clock(raw: ibis.Table, zone: str) -> ibis.Table:
    """Each distinct moment once, read and converted: time zones are dear, and hundreds of lines share a moment."""
    moments = raw.select(moment=_.invoice_date).distinct()
    readable = moments.moment.re_search(_MOMENT)
    local = moments.mutate(local_at=ibis.cases((readable, moments.moment.try_cast("timestamp"))))
    return local.mutate(
        instant=to_utc_timestamp(local.local_at, zone),
        is_skipped_hour=is_skipped(local.local_at, zone),
    )


def row_errors(lines: ibis.Table) -> ir.ArrayValue:
    """Every reason why a line cannot be published, under this table's names: only those may be shown of private rows.

    One test finds the lines without any: nearly all.
    """
    sells_nothing = lines.description.isnull() & ((lines.unit_price == 0) | (lines.price_text == ""))
    other_day = lines.local_at.date() != lines.business_date
    no_customer = lines.customer_text == ""
    is_fine = (
        lines.quantity.notnull()
        & lines.unit_price.notnull()
        & lines.local_at.notnull()
        & (lines.customer_id.notnull() | no_customer)
        & ~(sells_nothing | other_day | lines.is_skipped_hour)
    )
    reasons = [
        _when(sells_nothing, "names_nothing_sold"),
        _unread("quantity", lines.quantity, lines.quantity_text, _WHOLE),
        _unread("unit_price", lines.unit_price, lines.price_text, _PLAIN),
        _when(lines.local_at.isnull(), _quoting("unparseable:sold_at", lines.moment_text)),
        _when(other_day, _quoting("not_of_this_day:sold_at", lines.moment_text)),
        _when(lines.is_skipped_hour, _quoting("local_time_does_not_exist:sold_at", lines.moment_text)),
        # whose value it is must not be shown
        _when(lines.customer_id.isnull() & ~no_customer, "unparseable:customer_id"),
    ]
    found = ibis.array(reasons).filter(lambda reason: reason.notnull())
    return is_fine.ifelse(ibis.literal([], type="array<string>"), found)


def _whole(text: ir.StringValue) -> ir.IntegerValue:
    return ibis.cases((text.re_search(_WHOLE_THAT_FITS), text.cast("int64")))


def _int32(value: ir.IntegerValue) -> ir.IntegerValue:
    return ibis.cases((value.between(-_INT32, _INT32 - 1), value.cast("int32")))


def _price(text: ir.StringValue) -> ir.DecimalValue:
    return ibis.cases((text.re_search(_PLAIN_THAT_FITS), text.cast("decimal(18,3)")))


def _unread(name: str, value: ir.Value, text: ir.StringValue, pattern: str) -> ir.StringValue:
    too_large = text.re_search(pattern)
    problem = too_large.ifelse(_quoting(f"out_of_range:{name}", text), _quoting(f"unparseable:{name}", text))
    return _when(value.isnull(), problem)


def _when(condition: ir.BooleanValue, reason: ir.StringValue | str) -> ir.StringValue:
    return ibis.cases((condition, reason))


def _quoting(problem: str, text: ir.StringValue) -> ir.StringValue:
    return ibis.literal(f"{problem}='") + text.left(_SHOWN) + "'"
