"""Text as it should be stored: single spaces, nothing around it, NULL instead of empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

_BLANKS = r"[\t\n\x0B\f\r\x{00A0} ]+"


def _trim(text: object) -> object:
    """Every engine's own: removes spaces (U+0020) at both ends. Ibis's `strip` eats letters on Spark."""


trim = ibis.udf.scalar.builtin(_trim, name="trim", signature=(("string",), "string"))


def tidy(text: ir.StringValue) -> ir.StringValue:
    """`text` with single spaces and none around it; NULL when nothing is left.

    Without a condition on purpose: DuckDB evaluates plain functions once per distinct value of a stored column,
    which a CASE prevents (3.5 CPU seconds against 0.2 for ten million descriptions).
    """
    return trim(text.re_replace(_BLANKS, " ")).nullif("")
