"""SQL functions that Spark has and DuckDB lacks, as DuckDB macros: created on every connection the platform opens.

A transform calls one through `ibis.udf.scalar.builtin`, so that both engines run a function of the same name and
meaning. Functions that only one engine has do not belong here: the lint of idioms admits no others.
"""

from __future__ import annotations

MACROS: tuple[str, ...] = (
    # Local wall-clock time to UTC. An hour that happens twice takes its earlier instant, as Spark does: plain
    # `timezone(z, t)` takes the later one, and moves every row of that hour.
    """
    CREATE OR REPLACE TEMP MACRO to_utc_timestamp(t, z) AS
    least(timezone(z, t), timezone(z, t - INTERVAL 1 HOUR) + INTERVAL 1 HOUR)
    """,
)

MACRO_NAMES = frozenset(macro.split("(", 1)[0].rsplit(" ", 1)[-1] for macro in MACROS)
"""What the macros are called; with them a transform may call by name what every engine knows."""
