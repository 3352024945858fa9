"""Arithmetic on money that gives the same digits everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir


def money_sum(amount: ir.DecimalValue, where: ir.BooleanValue | None = None) -> ir.DecimalScalar:
    """The sum of the amounts for which `where` holds; 0 when there are none."""
    return amount.sum(where=where).fill_null(0)


def divide_half_up(amount: ir.DecimalValue, count: ir.IntegerValue) -> ir.DecimalValue:
    """`amount / count` to three digits, ties upwards; NULL when `count` is 0.

    Engines give a decimal quotient different types and digits, so whole thousandths are divided instead. Up to a
    million million pounds the floor of their quotient is exact in a float; beyond, the cast fails.
    """
    doubled = (amount * 2000).floor().cast("int64")
    thousandths = ((doubled + count) / (count * 2).nullif(0)).floor().cast("int64")
    return thousandths.cast("decimal(18,3)") * ibis.literal("0.001").cast("decimal(18,3)")
