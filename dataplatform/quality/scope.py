"""The partitions under judgement: which rows belong to which, and measuring a table once for all of them.

A row's partition is the text of its partition column (a month's column holds the first of the month); a table
without partitions has the one slice `all`. Nothing here knows rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from dataplatform.contracts.model import WHOLE, Contract
from dataplatform.errors import UnfitValueError

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir
    import pyarrow as pa


def fetch(expression: ibis.Table) -> list[tuple[Any, ...]]:
    """The rows of a small result.

    Not `to_pyarrow`, which casts to the types Ibis believes the result to have and imports pandas to do so. Tables
    made by `ibis.memtable` cannot be judged: compiled SQL does not register them.
    """
    backend = expression.get_backend()
    return fetch_sql(backend, backend.compile(expression))


def fetch_sql(backend: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a small result of a query in the backend's own dialect."""
    rows: list[tuple[Any, ...]] = backend.raw_sql(sql).fetchall()
    return rows


def fetch_arrow(expression: ibis.Table) -> pa.Table:
    """All rows, in the engine's own types and not in those Ibis believes them to have."""
    backend: Any = expression.get_backend()
    table: pa.Table = backend.con.sql(backend.compile(expression)).to_arrow_table()
    return table


@dataclass(frozen=True, slots=True)
class Scope:
    """The partitions of one table that are judged together, in order."""

    contract: Contract
    partitions: tuple[str, ...]

    @property
    def column(self) -> str | None:
        """The partition column; None when the table has no partitions."""
        return self.contract.partition_column if self.contract.is_partitioned else None

    def partition_of(self, table: ibis.Table) -> ir.StringColumn:
        """Each row's partition, by name."""
        import ibis

        name = ibis.literal(WHOLE) if self.column is None else table[self.column].cast("string")
        return cast("ir.StringColumn", name)

    def within(self, table: ibis.Table, chosen: Collection[str]) -> ibis.Table:
        """The rows of the chosen partitions of a table that holds rows of this scope only."""
        import ibis

        left_out = [name for name in self.partitions if name not in chosen]
        if not left_out:
            return table
        if self.column is None or not chosen:
            return table.filter(ibis.literal(value=False))
        column = table[self.column]
        few, many = sorted(chosen), left_out
        # a range mostly has few bad days: the shorter list makes the cheaper filter
        if len(many) < len(few):
            return table.filter(column.notin([ibis.literal(name).cast(column.type()) for name in many]))
        return table.filter(column.isin([ibis.literal(name).cast(column.type()) for name in few]))

    def measure(self, table: ibis.Table, measures: Mapping[str, ir.Scalar]) -> dict[str, dict[str, Any]]:
        """Each measure in each partition that has rows (of an unpartitioned table: always), in one pass."""
        named = {f"m{number}": measure for number, measure in enumerate(measures.values())}
        if self.column is None:
            (row,) = fetch(table.aggregate(**named))
            return {WHOLE: dict(zip(measures, row, strict=True))}
        rows = fetch(table.group_by(self.column).aggregate(**named))
        return {str(row[0]): dict(zip(measures, row[1:], strict=True)) for row in rows}

    def tally(self, table: ibis.Table, conditions: Mapping[str, ir.BooleanValue]) -> Tally:
        """How many rows each partition has, and in how many each condition is true, in one pass."""
        counted = {name: table.count(where=condition) for name, condition in conditions.items()}
        measured = self.measure(table, {"": table.count(), **counted})
        rows = {name: measured.get(name, {}).get("", 0) for name in self.partitions}
        counts = {
            condition: {name: measured.get(name, {}).get(condition, 0) for name in self.partitions}
            for condition in conditions
        }
        outside = {name: found[""] for name, found in measured.items() if name not in rows}
        return Tally(rows, counts, outside)

    def refuse_outside(self, outside: Mapping[str, int]) -> None:
        """Raises ShapeError when the candidate has rows of partitions that were not asked for."""
        if outside:
            named = ", ".join(f"{outside[name]} rows of {name}" for name in sorted(outside)[:5])
            raise UnfitValueError(
                f"{self.contract.full_name} {_span(self.partitions)}: rows outside the slice ({self.column}): {named}; "
                "a function may return rows of its own partitions only"
            )


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows per partition, and per condition the rows per partition in which it is true."""

    rows: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    outside: Mapping[str, int]


def _span(partitions: Sequence[str]) -> str:
    return partitions[0] if len(partitions) == 1 else f"{partitions[0]} to {partitions[-1]}"
