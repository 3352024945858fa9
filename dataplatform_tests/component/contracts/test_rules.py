"""Rules are derived from contracts under stable names, kinds and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform_tests.factory import ColumnText, TableFactory

DAY = {"business_date": "DATE partitioned"}


def rules(folder: Path, columns: dict[str, ColumnText], **more: Any) -> dict[str, Rule]:
    """The rules of an aggregate of these columns, by name."""
    tables = TableFactory(folder)
    tables.add("aggregate", "shop_orders", columns, **more)
    return {rule.name: rule for rule in tables.contract("shop_orders").rules}


def row_rule(column: str, test: str, **arguments: Any) -> Rule:
    return Rule(f"{column}:{test}", RuleKind.ROWS, test, (column,), arguments)


def test_required_and_keys_have_their_own_names(tmp_path: Path) -> None:
    found = rules(tmp_path, {"order_id": "BIGINT key", "line": "INTEGER key", "code": "VARCHAR unique"})

    assert found == {
        "order_id:required": row_rule("order_id", "required"),
        "line:required": row_rule("line", "required"),
        "code:unique": Rule("code:unique", RuleKind.KEYS, "unique", ("code",)),
        "primary_key": Rule("primary_key", RuleKind.KEYS, "unique", ("order_id", "line")),
    }


@pytest.mark.parametrize(
    ("type_name", "options"),
    [
        ("BIGINT", {"minimum": 0, "maximum": 9, "exclusiveMinimum": -1, "exclusiveMaximum": 10, "multipleOf": 3}),
        ("DECIMAL(18,3)", {"minimum": 0.001, "maximum": 10, "multipleOf": 0.5}),
        ("DOUBLE", {"minimum": 0.5, "exclusiveMaximum": 1}),
        ("DATE", {"minimum": "2010-12-01", "exclusiveMaximum": "2011-12-10"}),
        ("TIMESTAMP", {"minimum": "2010-12-01T00:00:00Z", "maximum": "2011-12-10"}),
        ("VARCHAR", {"minLength": 1, "maxLength": 5, "pattern": "^[A-Z]+$"}),
    ],
)
def test_each_option_of_a_type_is_a_row_rule(tmp_path: Path, type_name: str, options: dict[str, Any]) -> None:
    found = rules(tmp_path, {"held": (type_name, {"logicalTypeOptions": options})})

    assert list(found.values()) == [row_rule("held", option, value=value) for option, value in options.items()]


def test_a_zone_that_says_utc_is_no_rule(tmp_path: Path) -> None:
    zoned = {"timezone": True, "defaultTimezone": "Etc/UTC"}

    assert rules(tmp_path, {"sold_at": ("TIMESTAMP", {"logicalTypeOptions": zoned})}) == {}


def test_a_text_format_is_a_pattern_and_an_integer_format_bounds(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        {
            "address": ("VARCHAR", {"logicalTypeOptions": {"format": "email"}}),
            "small": ("INTEGER", {"logicalTypeOptions": {"format": "u8"}}),
        },
    )

    assert found["address:format"].arguments == {"value": "email", "pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"}
    assert found["small:format"].arguments == {"value": "u8", "minimum": 0, "maximum": 255}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", "a.b@c.org", "a.b@c"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("uri", "https://a.org/b?c", "//a.org"),
        ("hostname", "a-b.example.org", "-a.example.org"),
        ("ipv4", "127.0.0.1", "256.0.0.1"),
    ],
)
def test_each_text_format_tells_good_from_bad(tmp_path: Path, name: str, good: str, bad: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = rules(tmp_path, {"held": ("VARCHAR", {"logicalTypeOptions": {"format": name}})})
    pattern = found["held:format"].arguments["pattern"]

    assert pc.match_substring_regex(pa.array([good, bad]), pattern).to_pylist() == [True, False]


def test_an_enumeration_lists_its_values(tmp_path: Path) -> None:
    found = rules(tmp_path, {"kind": ("VARCHAR", {"enum": [{"value": "sale"}, {"value": "return", "label": "Back"}]})})

    assert found == {"kind:enum": row_rule("kind", "enum", value=["sale", "return"])}


def test_a_relationship_names_table_and_column(tmp_path: Path) -> None:
    to = {"relationships": [{"type": "foreignKey", "to": "dim_customer.customer_key"}]}

    (rule,) = rules(tmp_path, {"customer_key": ("BIGINT", to)}).values()

    assert (rule.name, rule.kind, rule.test) == ("customer_key:relationship", RuleKind.RELATIONSHIPS, "relationship")
    assert rule.columns == ("customer_key",)
    assert rule.arguments == {"table": "dim_customer", "column": "customer_key"}


@pytest.mark.parametrize(
    "comparison",
    [
        {"mustBe": 1},
        {"mustNotBe": 0},
        {"mustBeGreaterThan": 0},
        {"mustBeGreaterOrEqualTo": 1},
        {"mustBeLessThan": 9},
        {"mustBeLessOrEqualTo": 9.5},
        {"mustBeBetween": [1, 9]},
        {"mustNotBeBetween": [5, 6]},
    ],
)
def test_a_row_count_is_a_table_rule_with_one_comparison(tmp_path: Path, comparison: dict[str, Any]) -> None:
    item = {"id": "rows", "metric": "rowCount", "description": "Some.", "severity": "warning", **comparison}

    found = rules(tmp_path, {"a": "VARCHAR"}, quality=[item])

    arguments = {**comparison, "arguments": {}, "unit": "rows"}
    assert found == {"rows": Rule("rows", RuleKind.TABLE, "rowCount", (), arguments, Severity.WARNING, "Some.")}


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        ("nullValues", {}),
        ("missingValues", {"missingValues": ["", None]}),
        ("invalidValues", {"validValues": ["a", "b"]}),
        ("invalidValues", {"pattern": "^a"}),
        ("duplicateValues", {}),
    ],
)
def test_a_metric_of_a_property_is_named_after_it(tmp_path: Path, metric: str, arguments: dict[str, Any]) -> None:
    item = {"id": "few", "metric": metric, "mustBeLessThan": 5, "unit": "percent"}
    given = item | ({"arguments": arguments} if arguments else {})

    (rule,) = rules(tmp_path, {"code": ("VARCHAR", {"quality": [given]})}).values()

    assert (rule.name, rule.kind, rule.test, rule.columns) == ("code:few", RuleKind.TABLE, metric, ("code",))
    assert rule.arguments == {"mustBeLessThan": 5, "arguments": arguments, "unit": "percent"}


def test_duplicates_of_the_table_name_their_columns(tmp_path: Path) -> None:
    item = {"name": "once", "metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["b", "a"]}}

    (rule,) = rules(tmp_path, {"a": "VARCHAR", "b": "VARCHAR"}, quality=[item]).values()

    assert (rule.name, rule.columns) == ("once", ("b", "a"))


def test_an_sql_rule_holds_its_query(tmp_path: Path) -> None:
    query = "SELECT count(*) FILTER (amount < 0) > 0 FROM {object} o WHERE a IS NULL;"

    (rule,) = rules(
        tmp_path,
        {"a": "VARCHAR", "amount": "DOUBLE"},
        quality=[{"id": "x", "type": "sql", "query": query, "mustBe": 0}],
    ).values()

    assert (rule.kind, rule.test) == (RuleKind.TABLE, "sql")
    assert rule.arguments == {
        "query": "SELECT count(*) FILTER (amount < 0) > 0 FROM ${object} o WHERE a IS NULL",
        "mustBe": 0,
    }


def test_an_sql_rule_of_a_property_knows_its_column(tmp_path: Path) -> None:
    item = {"id": "x", "type": "sql", "query": "SELECT max(${property}) FROM ${object}", "mustBeLessThan": 5}

    (rule,) = rules(tmp_path, {"a": ("INTEGER", {"quality": [item]})}).values()

    assert (rule.name, rule.columns) == ("a:x", ("a",))
    assert rule.arguments["query"] == "SELECT max(a) FROM ${object}"


def test_a_row_predicate_knows_the_columns_it_reads(tmp_path: Path) -> None:
    row = "net = total - coalesce(Discount, 0) -- always"
    item = {"id": "net", "type": "custom", "engine": "dataplatform", "implementation": {"row": row}}
    columns: dict[str, ColumnText] = dict.fromkeys(["label", "total", "discount", "net"], "INTEGER")

    (rule,) = rules(tmp_path, columns, quality=[item]).values()

    assert rule == Rule("net", RuleKind.ROWS, "predicate", ("total", "discount", "net"), {"expression": row})


def test_an_expectation_is_handed_over_as_it_stands(tmp_path: Path) -> None:
    expectation = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "score", "min_value": 1}}
    item = {"id": "mean", "type": "custom", "engine": "greatExpectations", "implementation": expectation}

    (rule,) = rules(tmp_path, {"score": "INTEGER"}, quality=[item]).values()

    assert rule == Rule("mean", RuleKind.EXPECTATIONS, "expectation", ("score",), {"expectation": expectation})


def test_a_text_rule_is_for_people(tmp_path: Path) -> None:
    assert rules(tmp_path, {"a": "VARCHAR"}, quality=[{"type": "text", "description": "Checked by hand."}]) == {}
