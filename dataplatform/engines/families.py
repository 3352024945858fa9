"""Which types a function may deliver for which promised type: the one table, and what to write where it says no.

Candidates are cast to the contract's types before anything is stored, and rows whose value the cast changes are
counted. This table says which casts make sense at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_NAIVE = "naive timestamp"
_ANY = "null"

ACCEPTED: Mapping[str, frozenset[str]] = {
    "string": frozenset({"string"}),
    "array": frozenset({"array"}),
    "integer": frozenset({"integer"}),
    "decimal": frozenset({"decimal", "integer"}),
    # a literal such as 0.5 is a decimal to DuckDB and a float to Ibis, which drops the cast between them
    "float": frozenset({"float", "integer", "decimal"}),
    "boolean": frozenset({"boolean"}),
    # DuckDB truncates a date to a timestamp at midnight; the cast back is counted where it is not midnight
    "date": frozenset({"date", _NAIVE}),
    "timestamp": frozenset({"timestamp"}),
}
"""Promised family -> delivered families that are cast to it. All others are refused."""

_FRAMES: Mapping[str, frozenset[str]] = {
    # pandas keeps integers beside missing values as floats: the conversion fails where one is not whole
    "integer": frozenset({"integer", "float"}),
    "decimal": frozenset({"decimal"}),
    "float": frozenset({"float", "integer"}),
}
"""What differs for pandas frames."""

_FIXES: Mapping[tuple[str, str], str] = {
    ("float", "decimal"): "money never passes through a float: compute it in decimals",
    ("integer", "decimal"): "make them `decimal.Decimal`",
    ("float", "integer"): "write `.floor()` or `.round()`, then `.cast('int64')`",
    ("decimal", "integer"): "write `.floor()` or `.round()`, then `.cast('int64')`",
    ("integer", "string"): "cast it to string; `ibis.null('string')` for no value",
    ("date", "timestamp"): "a day has no instant: promise a DATE, or say which instant is meant",
    ("timestamp", "date"): "write `.date()` of the local time that is meant",
    (_NAIVE, "timestamp"): "call `to_utc_timestamp(local, zone)`",
    ("string", "date"): "test the pattern, then `.cast('date')`",
    ("string", "timestamp"): "test the pattern, cast to a local timestamp, then `to_utc_timestamp(local, zone)`",
}

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_DUCKDB: Mapping[str, str] = {
    "VARCHAR": "string",
    "VARCHAR[]": "array",
    **dict.fromkeys((*_INTEGERS, *(f"U{name}" for name in _INTEGERS)), "integer"),
    "FLOAT": "float",
    "DOUBLE": "float",
    "BOOLEAN": "boolean",
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), _NAIVE),
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    '"NULL"': _ANY,
}


def accepts(promised: str, delivered: str, *, frames: bool = False) -> bool:
    """Whether a column of family `delivered` may be cast to `promised`; a column of NULLs alone always may."""
    known = _FRAMES.get(promised, ACCEPTED[promised]) if frames else ACCEPTED[promised]
    return delivered == _ANY or delivered in known


def fix(delivered: str, promised: str) -> str:
    """What to write when a family is refused."""
    return _FIXES.get((delivered, promised), "cast it, or change the contract")


def of_duckdb(type_name: str) -> str:
    """The family of a type as DuckDB's DESCRIBE writes it; an unknown one is its own family, which nothing accepts."""
    return "decimal" if type_name.startswith("DECIMAL") else _DUCKDB.get(type_name, type_name)


def of_arrow(found: pa.DataType) -> str:
    """The family of an Arrow type."""
    import pyarrow as pa

    is_a = pa.types
    if is_a.is_timestamp(found):
        return _NAIVE if found.tz is None else "timestamp"
    if is_a.is_list(found):
        return "array" if of_arrow(found.value_type) in ("string", _ANY) else str(found)
    if is_a.is_dictionary(found):
        return of_arrow(found.value_type)
    families = {
        "string": is_a.is_string(found) or is_a.is_large_string(found),
        "integer": is_a.is_integer(found),
        "float": is_a.is_floating(found),
        "decimal": is_a.is_decimal(found),
        "boolean": is_a.is_boolean(found),
        "date": is_a.is_date(found),
        _ANY: is_a.is_null(found),
    }
    return next((family for family, holds in families.items() if holds), str(found))
