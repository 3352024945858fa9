"""What is kept of an audit, as Arrow: the history of every rule, and the rows that did not go out.

Pure conversion: the lake writes it, to `quality.rule_results` and `quarantine.<table>`. Quarantined rows are whole
and unmasked, or nothing could be replayed; whoever shows them masks private columns and, with `masking.py`, reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract
from dataplatform.contracts.schema import arrow_schema
from dataplatform.quality.audit import Audit
from dataplatform.quality.evidence import REASONS
from dataplatform.quality.results import RuleResult
from dataplatform.quality.scope import Scope, fetch_arrow

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

QUARANTINED, BLOCKED = "quarantined", "blocked"
"""Why a row is kept aside: its partition went out without it, or its partition was not published at all."""


def results_to_arrow(
    results: Sequence[RuleResult], *, contract: Contract, run_id: str, evaluated_at: datetime
) -> pa.Table:
    """One row per rule and partition, for `quality.rule_results`. `evaluated_at` is aware."""
    import pyarrow as pa

    rows = len(results)
    columns = {
        "evaluated_at": _instants(evaluated_at, rows),
        "run_id": [run_id] * rows,
        "layer": [contract.layer.value] * rows,
        "table_name": [contract.name] * rows,
        "partition": [result.partition for result in results],
        "rule": [result.rule.name for result in results],
        "kind": [result.rule.kind.value for result in results],
        "severity": [result.rule.severity.value for result in results],
        "status": [result.status.value for result in results],
        "expected": [result.expected for result in results],
        "found": [result.found for result in results],
        "failed_rows": [result.failed_rows for result in results],
        "checked_rows": [result.checked_rows for result in results],
    }
    return pa.table(columns, schema=results_schema())


def results_schema() -> pa.Schema:
    """The columns of `quality.rule_results`."""
    import pyarrow as pa

    texts = ("run_id", "layer", "table_name", "partition", "rule", "kind", "severity", "status", "expected", "found")
    columns: dict[str, pa.DataType] = {
        "evaluated_at": pa.timestamp("us", tz="UTC"),
        **dict.fromkeys(texts, pa.string()),
        "failed_rows": pa.int64(),
        "checked_rows": pa.int64(),
    }
    return pa.schema(columns)


def quarantine_schema(contract: Contract) -> pa.Schema:
    """The contract's columns, then what became of the row, why, and in which slice and run."""
    import pyarrow as pa

    schema = arrow_schema(contract)
    for name, kind in {
        "_status": pa.string(),
        REASONS: pa.list_(pa.string()),
        "_partition": pa.string(),
        "_run_id": pa.string(),
        "_quarantined_at": pa.timestamp("us", tz="UTC"),
    }.items():
        schema = schema.append(pa.field(name, kind))
    return schema


def quarantine_to_arrow(judged: Audit, contract: Contract, *, run_id: str, at: datetime) -> pa.Table | None:
    """The quarantined and blocked rows of an audit in `quarantine_schema`, or None. `at` is aware."""
    import pyarrow as pa

    kept = [
        _kept(rows, contract, status, run_id, at)
        for rows, status in ((judged.quarantined, QUARANTINED), (judged.blocked, BLOCKED))
        if rows is not None
    ]
    return pa.concat_tables(kept) if kept else None


def _kept(rows: ibis.Table, contract: Contract, status: str, run_id: str, at: datetime) -> pa.Table:
    import pyarrow as pa

    schema = quarantine_schema(contract)
    data = fetch_arrow(rows.mutate(_partition=Scope(contract, ()).partition_of(rows)))
    constants = {
        "_status": pa.array([status] * data.num_rows, pa.string()),
        "_run_id": pa.array([run_id] * data.num_rows, pa.string()),
        "_quarantined_at": _instants(at, data.num_rows),
    }
    for name, values in constants.items():
        data = data.append_column(name, values)
    return data.select(schema.names).cast(schema)


def _instants(at: datetime, rows: int) -> Any:
    import pyarrow as pa

    return pa.array([at.astimezone(UTC)] * rows, pa.timestamp("us", tz="UTC"))
