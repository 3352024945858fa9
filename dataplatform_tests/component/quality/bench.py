"""A bench to judge candidates on: an in-memory DuckDB, a small contract, and rows written as dictionaries."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import ibis
import pyarrow as pa

from dataplatform.contracts.model import Contract, Rule, RuleKind, Severity
from dataplatform.contracts.schema import arrow_schema
from dataplatform.quality.audit import Audit, audit
from dataplatform.quality.context import AuditContext
from dataplatform.quality.results import RuleResult
from dataplatform.quality.scope import fetch_arrow
from dataplatform_tests.by_hand import contract

COLUMNS = {
    "day": "DATE",
    "id": "BIGINT",
    "quantity": "INTEGER",
    "amount": "DECIMAL(18,3)",
    "ratio": "DOUBLE",
    "code": "VARCHAR",
    "at": "TIMESTAMP",
    "is_open": "BOOLEAN",
    "tags": "VARCHAR[]",
}
D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
Rows = Sequence[Mapping[str, Any]]


def rule(
    name: str, test: str, *columns: str, kind: RuleKind = RuleKind.ROWS, warning: bool = False, **arguments: Any
) -> Rule:
    return Rule(name, kind, test, columns, arguments, Severity.WARNING if warning else Severity.ERROR)


def sales(*rules: Rule, **changes: Any) -> Contract:
    """A day-partitioned table with one column of each type."""
    values = {"partition_column": "day", "rules": rules, "quarantine_share": 1.0}
    return contract("sales", COLUMNS, **{**values, **changes})


@dataclass
class Bench:
    """Stages rows and audits them against what is `published` (rows of the same contract) and `others`."""

    backend: Any = field(default_factory=ibis.duckdb.connect)
    published: Rows = ()
    others: Mapping[str, Rows] = field(default_factory=dict)
    input_rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    _names: Any = field(default_factory=lambda: (f"staged_{n}" for n in itertools.count()))

    def __post_init__(self) -> None:
        self.backend.raw_sql("SET TimeZone = 'UTC'")

    def stage(self, of: Contract, rows: Rows) -> ibis.Table:
        """The rows in contract columns and types; columns that no row has are NULL."""
        schema = arrow_schema(of)
        if any("_row_errors" in row for row in rows):
            schema = schema.append(pa.field("_row_errors", pa.list_(pa.string())))
        days = [{**row, "day": date.fromisoformat(row["day"])} if row.get("day") else dict(row) for row in rows]
        name = next(self._names)
        self.backend.con.register(f"{name}_arrow", pa.Table.from_pylist(days, schema=schema))
        self.backend.raw_sql(f"CREATE TEMP TABLE {name} AS SELECT * FROM {name}_arrow")
        self.backend.con.unregister(f"{name}_arrow")
        return self.backend.table(name)

    def audit(self, of: Contract, rows: Rows, partitions: Sequence[str] = (D1,)) -> Audit:
        return audit(of, self.stage(of, rows), partitions, self.context(of))

    def context(self, of: Contract) -> AuditContext:
        def related(table: str, column: str) -> ibis.Table:
            values = pa.table({column: pa.array([row[column] for row in self.others[table]], pa.string())})
            name = next(self._names)
            self.backend.con.register(name, values)
            return self.backend.table(name)

        def rest(columns: Sequence[str], replaced: Collection[str]) -> ibis.Table | None:
            self.asked.append(tuple(sorted(replaced)))
            outside = [row for row in self.published if row["day"] not in replaced]
            return self.stage(of, outside).select(*columns) if outside else None

        return AuditContext(related, rest, self.input_rows, self.rejected)


def rows_of(table: ibis.Table | None) -> list[dict[str, Any]]:
    """All rows, as values; of no table, none."""
    if table is None:
        return []
    rows: list[dict[str, Any]] = fetch_arrow(table).to_pylist()
    return rows


def results_of(judged: Audit, name: str) -> dict[str, RuleResult]:
    """The results of one rule, by partition."""
    return {result.partition: result for result in judged.results if result.rule.name == name}


def result_of(judged: Audit, name: str, partition: str = D1) -> RuleResult:
    return results_of(judged, name)[partition]
