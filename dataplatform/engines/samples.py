"""A few made-up rows that keep a contract: what functions on pandas frames are bound on, before any data exists.

pandas knows types by their values, so empty frames would show nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.contracts.model import Column, Contract

ROWS = 3
_FIRST_DAY = dt.date(2011, 1, 31)


def sample(contract: Contract, columns: Sequence[str] = ()) -> pa.Table:
    """`ROWS` rows in the contract's types (`columns` of them): keys differ, enumerations and bounds are kept.

    The last row is NULL wherever a column allows it. Equal row numbers hold equal keys in every table, so joins meet.
    """
    import pyarrow as pa

    chosen = [contract.column(name) for name in columns] if columns else list(contract.columns)
    arrays = [pa.array([_value(contract, column, row) for row in range(ROWS)], column.type.arrow) for column in chosen]
    return pa.Table.from_arrays(arrays, names=[column.name for column in chosen])


def _value(contract: Contract, column: Column, row: int) -> Any:
    limits = {
        rule.test: rule.arguments["value"]
        for rule in contract.rules
        if rule.columns == (column.name,) and "value" in rule.arguments
    }
    if row == ROWS - 1 and not column.required and column.name not in contract.primary_key:
        return None
    if "enum" in limits:
        return _typed(column, limits["enum"][row % len(limits["enum"])])
    match column.type.family:
        case "string":
            return f"{column.name}_{row}"[-int(limits.get("maxLength", 100)) :]
        case "array":
            return [f"{column.name}_{row}"]
        case "boolean":
            return row % 2 == 0
        case "date":
            return _FIRST_DAY + dt.timedelta(days=row)
        case "timestamp":
            return dt.datetime.combine(_FIRST_DAY, dt.time(12, row), dt.UTC)
    lowest = limits.get("minimum", limits.get("exclusiveMinimum", 0))
    highest = limits.get("maximum", limits.get("exclusiveMaximum", lowest + ROWS + 1))
    return _typed(column, min(max(lowest, 0) + row + 1, highest))


def _typed(column: Column, value: Any) -> Any:
    """A value as the contract writes it (numbers, ISO dates) in the Python type Arrow takes for the column."""
    match column.type.family:
        case "decimal":
            return Decimal(str(value))
        case "date":
            return dt.date.fromisoformat(value)
        case "timestamp":
            return dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
        case "integer":
            return int(value)
        case _:
            return value
