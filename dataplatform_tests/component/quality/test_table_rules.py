"""Library metrics and SQL rules, kept and broken, per partition."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from dataplatform.contracts.model import WHOLE, Grain, Layer, Rule, RuleKind
from dataplatform.quality.results import Status
from dataplatform_tests.component.quality.bench import D1, D2, D3, Bench, result_of, results_of, rows_of, rule, sales

ROWS = [
    {"day": D1, "id": 1, "code": "a", "quantity": 5},
    {"day": D1, "id": 2, "code": "", "quantity": 3},
    {"day": D1, "id": 3, "code": None, "quantity": -1},
    {"day": D1, "id": 4, "code": "a"},
    {"day": D2, "id": 5, "code": "n/a", "quantity": 2},
]


def table_rule(test: str, *columns: str, warning: bool = False, **arguments: Any) -> Rule:
    return rule("r", test, *columns, kind=RuleKind.TABLE, warning=warning, **arguments)


METRICS: list[tuple[Rule, str, str, str]] = [
    (table_rule("rowCount", mustBe=4), "4", "1", "0"),
    (table_rule("nullValues", "code", mustBe=1), "1", "0", "0"),
    (table_rule("nullValues", "code", mustBe=25, unit="percent"), "25%", "0%", "NULL (nothing to judge)"),
    (table_rule("missingValues", "code", mustBe=2, arguments={"missingValues": [None, "", "n/a"]}), "2", "1", "0"),
    (table_rule("invalidValues", "code", mustBe=1, arguments={"validValues": ["a", "b"]}), "1", "1", "0"),
    (table_rule("invalidValues", "code", mustBe=1, arguments={"pattern": "^[a-z]$"}), "1", "1", "0"),
    (table_rule("invalidValues", "quantity", mustBe=1, arguments={"validValues": [5, 3]}), "1", "1", "0"),
    (table_rule("duplicateValues", "code", mustBe=1), "1", "0", "0"),
    (table_rule("duplicateValues", "code", "quantity", mustBe=0), "0", "0", "0"),
    (table_rule("sql", query="SELECT sum(quantity) FROM ${object}", mustBe=7), "7", "2", "NULL (nothing to judge)"),
    (table_rule("sql", query="SELECT count(*) FROM ${object} WHERE quantity < 0", mustBe=1), "1", "0", "0"),
    (
        table_rule("sql", query="SELECT avg(quantity) FROM ${object} o WHERE o.id < 3", mustBe=4),
        "4",
        "NULL (nothing to judge)",
        "NULL (nothing to judge)",
    ),
    (table_rule("sql", query="SELECT max(code) FROM ${object}", mustBe="a"), "a", "n/a", "NULL (nothing to judge)"),
]
"""A rule, and what it finds on a day of four rows, of one row, and of none."""


@pytest.mark.parametrize(("one", "first", "second", "third"), METRICS)
def test_a_value_is_computed_for_each_day_by_itself(one: Rule, first: str, second: str, third: str) -> None:
    judged = Bench().audit(sales(one), ROWS, (D1, D2, D3))

    assert [result.found for result in results_of(judged, "r").values()] == [first, second, third]
    assert result_of(judged, "r", D1).passed


@pytest.mark.parametrize("warning", [True, False])
def test_a_value_out_of_bounds_fails_its_day_or_warns(warning: bool) -> None:
    one = table_rule("rowCount", mustBeGreaterThan=1, warning=warning)

    judged = Bench().audit(sales(one), ROWS, (D1, D2, D3))

    statuses = [result.status for result in results_of(judged, "r").values()]
    bad = Status.WARNED if warning else Status.FAILED
    assert statuses == [Status.PASSED, bad, bad]
    assert judged.passed == ((D1, D2, D3) if warning else (D1,))
    assert len(rows_of(judged.good)) == (5 if warning else 4)
    if not warning:
        assert judged.verdicts[D3].problems == ("r: expected rowCount > 1, found 0",)


def test_a_metric_of_rows_counts_those_that_break_it() -> None:
    one = table_rule("nullValues", "code", mustBeLessThan=20, unit="percent")

    judged = Bench().audit(sales(one), ROWS, (D1, D2))

    found = result_of(judged, "r", D1)
    assert (found.status, found.failed_rows, found.checked_rows) == (Status.FAILED, 1, 4)
    assert (found.expected, found.found) == ("nullValues of code < 20%", "25%")
    assert result_of(judged, "r", D2).failed_rows == 0


def test_a_metric_sees_what_would_be_published_and_not_what_is_quarantined() -> None:
    rules = (rule("code:required", "required", "code"), table_rule("nullValues", "code", mustBe=0))

    judged = Bench().audit(sales(*rules, layer=Layer.CLEANED), ROWS, (D1, D2))

    assert [result.passed for result in results_of(judged, "r").values()] == [True, True]
    assert result_of(judged, "r", D1).checked_rows == 3


def test_an_sql_rule_of_a_table_without_partitions_sees_all_of_it() -> None:
    one = table_rule("sql", query="SELECT sum(amount) FROM ${object}", mustBeBetween=[3, 3.5])
    whole = sales(one, grain=Grain.NONE, partition_column=None)
    rows = [{"day": D1, "amount": Decimal("1.250")}, {"day": D2, "amount": Decimal("2.125")}]

    assert result_of(Bench().audit(whole, rows, (WHOLE,)), "r", WHOLE).found == "3.375"
    assert not result_of(Bench().audit(whole, rows[:1], (WHOLE,)), "r", WHOLE).passed


def test_a_query_that_cannot_run_names_its_rule() -> None:
    one = table_rule("sql", query="SELECT nonsense(amount) FROM ${object}", mustBe=0)

    with pytest.raises(duckdb.Error) as caught:
        Bench().audit(sales(one), ROWS, (D1, D2))

    [note] = caught.value.__notes__
    assert note == "while judging rule r of aggregate.sales: SELECT nonsense(amount) FROM ${object}"


def test_a_value_of_a_private_column_is_masked() -> None:
    one = table_rule("sql", query="SELECT max(code) FROM ${object}", mustBe="b")
    private = sales(one)
    columns = tuple(
        replace(column, classification="confidential") if column.name == "code" else column
        for column in private.columns
    )

    judged = Bench().audit(replace(private, columns=columns), ROWS[:1])

    assert judged.verdicts[D1].problems == ("r: expected value = b, found ***",)
