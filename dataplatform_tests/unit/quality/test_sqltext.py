"""SQL of contracts, carried to another dialect and judged per partition."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataplatform.contracts.model import Column, Rule, RuleKind
from dataplatform.contracts.types import ColumnType
from dataplatform.quality.sqltext import predicate, query, shows_private_value
from dataplatform_tests.by_hand import contract


def _sql(text: str) -> Rule:
    return Rule("r", RuleKind.TABLE, "sql", arguments={"query": text, "mustBe": 0})


def test_a_query_is_grouped_by_the_partition_column() -> None:
    rule = _sql("SELECT count(*) FROM ${object} WHERE amount < 0")

    assert query(rule, "day", "duckdb") == (
        'SELECT "candidate"."day", COUNT(*) FROM candidate WHERE amount < 0 GROUP BY "candidate"."day"'
    )


def test_a_query_keeps_the_alias_it_gives_the_table() -> None:
    grouped = query(_sql("SELECT max(o.amount) - min(o.amount) AS spread FROM ${object} AS o"), "day", "duckdb")

    assert grouped == (
        'SELECT "o"."day", MAX(o.amount) - MIN(o.amount) AS spread FROM candidate AS o GROUP BY "o"."day"'
    )


def test_a_table_without_partitions_is_asked_as_it_stands() -> None:
    assert query(_sql("SELECT sum(amount) FROM ${object}"), None, "duckdb") == "SELECT SUM(amount) FROM candidate"


def test_a_condition_is_carried_to_the_engines_dialect() -> None:
    rule = Rule(
        "r", RuleKind.ROWS, "predicate", (), {"expression": "regexp_matches(code, '^a') AND day::DATE > '2011-01-01'"}
    )

    assert predicate(rule, "spark") == "code RLIKE '^a' AND CAST(day AS DATE) > '2011-01-01'"


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("SELECT count(*) FROM ${object} WHERE email IS NULL", False),
        ("SELECT count(DISTINCT email) AS n FROM ${object}", False),
        ("SELECT max(EMAIL) FROM ${object}", True),
        ("SELECT max(city) FROM ${object} WHERE email = 'a@b'", True),
        ("SELECT max(city) FROM ${object}", False),
    ],
)
def test_only_counts_of_private_columns_may_be_shown(text: str, private: bool) -> None:
    kind = ColumnType.parse("VARCHAR")
    people = replace(contract(), columns=(Column("city", kind), Column("email", kind, classification="confidential")))

    assert shows_private_value(people, _sql(text)) is private
