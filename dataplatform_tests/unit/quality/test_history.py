"""The history of rules as Arrow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa

from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform.quality.history import quarantine_schema, results_to_arrow
from dataplatform.quality.results import RuleResult
from dataplatform_tests.by_hand import contract

NOON = datetime(2011, 1, 1, 12, tzinfo=UTC)


def test_each_result_is_one_row_with_the_table_and_run_it_belongs_to() -> None:
    rule = Rule("amount:minimum", RuleKind.ROWS, "minimum", severity=Severity.WARNING)
    results = [RuleResult(rule, "2011-01-01", False, "amount >= 0", "1 of 2 rows otherwise", 1, 2)]

    table = results_to_arrow(results, contract=contract(), run_id="r1", evaluated_at=NOON)

    assert table.to_pylist() == [
        {
            "evaluated_at": NOON,
            "run_id": "r1",
            "layer": "aggregate",
            "table_name": "daily",
            "partition": "2011-01-01",
            "rule": "amount:minimum",
            "kind": "rows",
            "severity": "warning",
            "status": "warned",
            "expected": "amount >= 0",
            "found": "1 of 2 rows otherwise",
            "failed_rows": 1,
            "checked_rows": 2,
        }
    ]


def test_the_types_are_the_same_when_there_are_no_results() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=2)))

    table = results_to_arrow([], contract=contract(), run_id="r1", evaluated_at=local)

    assert table.schema.field("evaluated_at").type == pa.timestamp("us", tz="UTC")
    assert {str(field.type) for field in table.schema} == {"timestamp[us, tz=UTC]", "string", "int64"}


def test_quarantined_rows_keep_their_columns_and_say_why_when_and_where() -> None:
    assert quarantine_schema(contract()).names == [
        *contract().column_names,
        "_status",
        "_reasons",
        "_partition",
        "_run_id",
        "_quarantined_at",
    ]
