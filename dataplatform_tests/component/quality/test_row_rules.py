"""Each row rule, kept and broken, and what NULL means to it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dataplatform.contracts.model import Layer, Rule
from dataplatform.errors import PermanentError
from dataplatform.quality.results import Status
from dataplatform_tests.component.quality.bench import D1, D2, Bench, result_of, results_of, rows_of, rule, sales

EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
EXAMPLES: list[tuple[Rule, Any, Any, str]] = [
    (rule("id:required", "required", "id"), 1, None, "id is not NULL"),
    (rule("r", "minimum", "quantity", value=-5), -5, -6, "quantity >= -5"),
    (rule("r", "maximum", "quantity", value=5), 5, 6, "quantity <= 5"),
    (rule("r", "exclusiveMinimum", "quantity", value=0), 1, 0, "quantity > 0"),
    (rule("r", "exclusiveMaximum", "quantity", value=0), -1, 0, "quantity < 0"),
    (rule("r", "minimum", "amount", value=0.1), Decimal("0.100"), Decimal("0.099"), "amount >= 0.1"),
    (rule("r", "maximum", "amount", value=0.0005), Decimal(0), Decimal("0.001"), "amount <= 0.0005"),
    (rule("r", "maximum", "ratio", value=0.5), 0.5, 0.51, "ratio <= 0.5"),
    (rule("r", "minimum", "day", value=D1), D1, None, f"day >= {D1}"),
    (
        rule("r", "minimum", "at", value="2011-01-01T10:00:00+01:00"),
        datetime(2011, 1, 1, 9, tzinfo=UTC),
        datetime(2011, 1, 1, 8, 59, tzinfo=UTC),
        "at >= 2011-01-01T10:00:00+01:00",
    ),
    (
        rule("r", "maximum", "at", value="2011-01-01"),
        datetime(2011, 1, 1, tzinfo=UTC),
        datetime(2011, 1, 1, 0, 1, tzinfo=UTC),
        "at <= 2011-01-01",
    ),
    (rule("r", "minLength", "code", value=2), "éé", "é", "code has at least 2 characters"),
    (rule("r", "maxLength", "code", value=2), "éé", "ééé", "code has at most 2 characters"),
    (rule("r", "pattern", "code", value="[0-9]"), "a1b", "abc", "code matches [0-9]"),
    (rule("r", "pattern", "code", value="^[0-9]+$"), "11", "11\n", "code matches ^[0-9]+$"),
    (rule("r", "format", "code", value="email", pattern=EMAIL), "a@b.de", "a@b", "code has the format email"),
    (rule("r", "format", "quantity", value="u8", minimum=0, maximum=255), 255, 256, "quantity has the format u8"),
    (rule("r", "format", "quantity", value="u8", minimum=0, maximum=255), 0, -1, "quantity has the format u8"),
    (rule("r", "enum", "code", value=["a", "b"]), "b", "B", "code in (a, b)"),
    (rule("r", "enum", "quantity", value=[1, 2]), 1, 3, "quantity in (1, 2)"),
    (rule("r", "enum", "is_open", value=[True]), True, False, "is_open in (True)"),
    (rule("r", "multipleOf", "quantity", value=5), -10, 7, "quantity is a multiple of 5"),
    (rule("r", "multipleOf", "amount", value=0.05), Decimal("1.250"), Decimal("1.251"), "amount is a multiple of 0.05"),
    (rule("r", "multipleOf", "ratio", value=0.1), 0.3, 0.35, "ratio is a multiple of 0.1"),
    (rule("r", "predicate", "quantity", "amount", expression="amount = quantity * 2"), 0, 1, "amount = quantity * 2"),
]
"""A rule, a value of its first column that keeps it, one that breaks it, and the rule in words."""
BREAKABLE = [example for example in EXAMPLES if example[2] is not None]


def _row(one: Rule, value: Any) -> dict[str, Any]:
    return {"day": D1, "amount": Decimal(0), one.columns[0]: value}


@pytest.mark.parametrize(("one", "good", "bad", "words"), EXAMPLES)
def test_a_value_that_keeps_a_rule_passes(one: Rule, good: Any, bad: Any, words: str) -> None:
    judged = Bench().audit(sales(one), [_row(one, good)])

    found = result_of(judged, one.name)
    assert (found.status, found.failed_rows, found.checked_rows) == (Status.PASSED, 0, 1)
    assert (found.expected, found.found) == (words, "all 1 rows")
    assert judged.passed == (D1,)


@pytest.mark.parametrize(("one", "good", "bad", "words"), BREAKABLE)
def test_a_value_that_breaks_a_rule_fails_its_partition(one: Rule, good: Any, bad: Any, words: str) -> None:
    judged = Bench().audit(sales(one), [_row(one, good), _row(one, bad)])

    found = result_of(judged, one.name)
    assert (found.status, found.failed_rows, found.checked_rows) == (Status.FAILED, 1, 2)
    assert found.expected == words
    assert judged.verdicts[D1].problems == (str(found),)


@pytest.mark.parametrize(("one", "good", "bad", "words"), EXAMPLES[1:])
def test_null_passes_every_rule_but_required(one: Rule, good: Any, bad: Any, words: str) -> None:
    staged = [{"day": D1}]

    judged = Bench().audit(sales(one), staged)

    assert result_of(judged, one.name).passed


def test_a_null_breaks_a_required_column() -> None:
    judged = Bench().audit(sales(rule("id:required", "required", "id")), [{"day": D1}, {"day": D1, "id": 1}])

    assert str(result_of(judged, "id:required")) == "id:required: expected id is not NULL, found 1 of 2 rows otherwise"


def test_a_broken_warning_is_published_and_shown() -> None:
    judged = Bench().audit(
        sales(rule("quantity:minimum", "minimum", "quantity", value=0, warning=True)), [{"day": D1, "quantity": -5}]
    )

    assert result_of(judged, "quantity:minimum").status is Status.WARNED
    assert judged.verdicts[D1].warnings == (
        "quantity:minimum: expected quantity >= 0, found 1 of 1 rows otherwise, such as -5",
    )
    assert [row["quantity"] for row in rows_of(judged.good)] == [-5]


def test_the_example_of_a_broken_predicate_names_its_columns() -> None:
    one = rule("balanced", "predicate", "quantity", "amount", expression="amount = quantity")

    judged = Bench().audit(sales(one), [{"day": D1, "quantity": 1, "amount": Decimal(2)}])

    assert result_of(judged, "balanced").found == "1 of 1 rows otherwise, such as quantity=1, amount=2.000"


def test_a_predicate_with_a_comment_and_a_case_in_it_is_understood() -> None:
    one = rule(
        "signed", "predicate", "quantity", expression="CASE WHEN code = 'c' THEN quantity < 0 ELSE TRUE END -- c"
    )

    judged = Bench().audit(
        sales(one), [{"day": D1, "code": "c", "quantity": 1}, {"day": D1, "code": "d", "quantity": 1}]
    )

    assert result_of(judged, "signed").failed_rows == 1


def test_a_long_value_is_cut_in_messages() -> None:
    judged = Bench().audit(sales(rule("r", "maxLength", "code", value=1)), [{"day": D1, "code": "x" * 5000}])

    assert result_of(judged, "r").found == f"1 of 1 rows otherwise, such as {'x' * 100}"


def test_an_unknown_test_is_refused_by_name() -> None:
    with pytest.raises(PermanentError, match=r"aggregate\.sales: rule r has an unknown test 'sparkles'"):
        Bench().audit(sales(rule("r", "sparkles", "code")), [{"day": D1}])


def test_what_a_function_says_of_a_row_is_reported_under_its_code() -> None:
    rows = [
        {"day": D1, "id": 1, "_row_errors": ["unparseable:quantity='x'", "unparseable:amount='1,5'"]},
        {"day": D1, "id": 2, "_row_errors": ["no_such_time:at='2011-03-27 01:30'", None]},
        {"day": D1, "id": 3, "_row_errors": []},
        {"day": D2, "id": 4, "_row_errors": None},
    ]

    judged = Bench().audit(sales(layer=Layer.CLEANED), rows, (D1, D2))

    assert str(result_of(judged, "unparseable")) == (
        "unparseable: expected no row that is unparseable, "
        "found 1 of 3 rows otherwise, such as unparseable:amount='1,5'"
    )
    assert result_of(judged, "unparseable").status is Status.QUARANTINED
    assert results_of(judged, "no_such_time").keys() == {D1}
    assert {row["id"]: row["_reasons"] for row in rows_of(judged.quarantined)} == {
        1: ["unparseable:quantity='x'", "unparseable:amount='1,5'"],
        2: ["no_such_time:at='2011-03-27 01:30'"],
    }
    assert [sorted(row) for row in rows_of(judged.good)] == [sorted(sales().column_names)] * 2


def test_what_a_function_says_of_a_row_fails_a_fact() -> None:
    judged = Bench().audit(sales(), [{"day": D1, "id": 1, "_row_errors": ["orphan:id=1"]}])

    assert judged.verdicts[D1].problems == (
        "orphan: expected no row that is orphan, found 1 of 1 rows otherwise, such as orphan:id=1",
    )
    assert [row["_reasons"] for row in rows_of(judged.blocked)] == [["orphan:id=1"]]
