"""Local wall-clock time to UTC, the same way on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir


def _to_utc_timestamp(local: object, zone: object) -> object:
    """The instant of a wall-clock time; a repeated hour takes the earlier one. Spark's own; a macro on DuckDB."""


to_utc_timestamp = ibis.udf.scalar.builtin(
    _to_utc_timestamp, name="to_utc_timestamp", signature=(("timestamp", "string"), "timestamp('UTC')")
)


def is_skipped(local: ir.TimestampValue, zone: str) -> ir.BooleanValue:
    """Whether the zone's clocks jumped over `local`: then it and one hour later name the same instant."""
    later = local + ibis.interval(hours=1)
    return to_utc_timestamp(local, zone) == to_utc_timestamp(later, zone)


def age_rank(last_sold_at: ir.TimestampValue, last_line_number: ir.IntegerValue) -> ir.IntegerValue:
    """A number that orders groups of one day's ledger lines: by their newest instant, then by place in the delivery.

    For few rows only: turning an instant into a number costs as much as grouping the lines did. The cast keeps
    digits: DuckDB counts seconds as a double, in which the place would drown.
    """
    return last_sold_at.epoch_seconds().cast("int64") * 100_000_000 + last_line_number
