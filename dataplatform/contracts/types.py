"""The closed set of column types a lake table may have, and their names in SQL, Arrow and Ibis.

A type is written in a contract as ODCS `physicalType`; nothing else is accepted, so that every engine stores the
same thing. TIMESTAMP is always UTC with zone and microseconds: naive timestamps are not allowed in the lake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt
    import pyarrow as pa

_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),\s*(\d{1,2})\)")
_LOGICAL = {
    "VARCHAR": "string",
    "VARCHAR[]": "array",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}
_FAMILY = {"integer": "integer", "number": "float"}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """One lake type, such as `BIGINT` or `DECIMAL(18,3)`. Made by `ColumnType.parse` only."""

    name: str
    precision: int = 0
    scale: int = 0

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        """Reads an ODCS `physicalType`. Raises ValueError that lists the types there are."""
        upper = text.strip().upper()
        if upper in _LOGICAL:
            return cls(upper)
        match = _DECIMAL.fullmatch(upper)
        if match and 0 <= int(match[2]) <= int(match[1]) <= 38 and int(match[1]) > 0:
            precision, scale = int(match[1]), int(match[2])
            return cls(f"DECIMAL({precision},{scale})", precision, scale)
        raise ValueError(f"unknown type {text!r}; use one of {', '.join(_LOGICAL)}, DECIMAL(precision,scale)")

    @property
    def is_decimal(self) -> bool:
        return self.precision > 0

    @property
    def logical(self) -> str:
        """The ODCS `logicalType` that goes with it."""
        return "number" if self.is_decimal else _LOGICAL[self.name]

    @property
    def family(self) -> str:
        """The platform may cast types of one family into each other: string, integer, decimal, float and so on."""
        return "decimal" if self.is_decimal else _FAMILY.get(self.logical, self.logical)

    @property
    def duckdb(self) -> str:
        """The name to cast to in DuckDB."""
        return "TIMESTAMPTZ" if self.name == "TIMESTAMP" else self.name

    @property
    def arrow(self) -> pa.DataType:
        import pyarrow as pa

        if self.is_decimal:
            return pa.decimal128(self.precision, self.scale)
        return {
            "VARCHAR": pa.string(),
            "VARCHAR[]": pa.list_(pa.string()),
            "INTEGER": pa.int32(),
            "BIGINT": pa.int64(),
            "DOUBLE": pa.float64(),
            "BOOLEAN": pa.bool_(),
            "DATE": pa.date32(),
            "TIMESTAMP": pa.timestamp("us", tz="UTC"),
        }[self.name]

    @property
    def ibis(self) -> dt.DataType:
        import ibis.expr.datatypes as dt

        if self.is_decimal:
            return dt.Decimal(self.precision, self.scale)
        return {
            "VARCHAR": dt.string,
            "VARCHAR[]": dt.Array(dt.string),
            "INTEGER": dt.int32,
            "BIGINT": dt.int64,
            "DOUBLE": dt.float64,
            "BOOLEAN": dt.boolean,
            "DATE": dt.date,
            "TIMESTAMP": dt.Timestamp(timezone="UTC", scale=6),
        }[self.name]

    def __str__(self) -> str:
        return self.name
