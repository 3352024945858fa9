"""The adapter of Great Expectations, on the real library."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.model import WHOLE, Contract, Grain, Layer, Rule, RuleKind
from dataplatform.errors import PermanentError
from dataplatform.quality.expectations import describe, needed_columns
from dataplatform.quality.results import Status
from dataplatform_tests.component.quality.bench import D1, D2, D3, Bench, result_of, results_of, rule, sales

CHECKOUT = Path(__file__).parents[3]
ROWS = [
    {"day": D1, "id": 1, "quantity": 1, "amount": Decimal("1.500"), "code": "a"},
    {"day": D1, "id": 2, "quantity": 4, "amount": Decimal("2.500"), "code": "b"},
    {"day": D2, "id": 3, "quantity": 9, "amount": Decimal("9.000"), "code": None},
]


def expects(kind: str, *, warning: bool = False, **kwargs: Any) -> Rule:
    expectation = {"type": f"expect_{kind}", "kwargs": kwargs}
    return rule("r", "expectation", kind=RuleKind.EXPECTATIONS, warning=warning, expectation=expectation)


BETWEEN = expects("column_values_to_be_between", column="quantity", min_value=0, max_value=5)
MEAN = expects("column_mean_to_be_between", column="amount", min_value=0, max_value=5)


@pytest.mark.parametrize(
    ("one", "good", "bad", "failed_rows"),
    [
        (BETWEEN, "0 of 2 values otherwise", "1 of 1 values otherwise, such as 9", 1),
        (MEAN, "2.0", "9.0", 0),
        (expects("table_row_count_to_be_between", min_value=2), "2", "1", 0),
        (
            expects("column_distinct_values_to_be_in_set", column="id", value_set=[1, 2]),
            "0 values otherwise",
            "1 values otherwise, such as 3",
            1,
        ),
        (
            expects("column_pair_values_a_to_be_greater_than_b", column_A="amount", column_B="id", or_equal=True),
            "0 of 2 values otherwise",
            "0 of 1 values otherwise",
            0,
        ),
    ],
)
def test_an_expectation_is_judged_on_each_day_by_itself(one: Rule, good: str, bad: str, failed_rows: int) -> None:
    judged = Bench().audit(sales(one), ROWS, (D1, D2))

    found = results_of(judged, "r")
    assert (found[D1].passed, found[D1].found) == (True, good)
    assert (found[D2].found, found[D2].failed_rows) == (bad, failed_rows)


@pytest.mark.parametrize("warning", [True, False])
def test_a_failing_expectation_names_expected_and_found(warning: bool) -> None:
    one = expects("column_mean_to_be_between", column="amount", min_value=0, max_value=5, warning=warning)

    judged = Bench().audit(sales(one), ROWS, (D1, D2))

    found = result_of(judged, "r", D2)
    assert str(found) == (
        "r: expected expect_column_mean_to_be_between(column=amount, min_value=0, max_value=5), found 9.0"
    )
    assert found.status is (Status.WARNED if warning else Status.FAILED)
    assert type(found.passed) is bool
    assert judged.passed == ((D1, D2) if warning else (D1,))


def test_a_day_without_rows_is_not_shown_to_it() -> None:
    found = result_of(Bench().audit(sales(MEAN), ROWS, (D1, D2, D3)), "r", D3)

    assert (found.passed, found.found, found.checked_rows) == (True, "no rows", 0)


def test_quarantined_rows_are_not_shown_to_it() -> None:
    rules = (MEAN, rule("quantity:maximum", "maximum", "quantity", value=5))

    judged = Bench().audit(sales(*rules, layer=Layer.CLEANED), ROWS, (D1, D2))

    assert result_of(judged, "r", D2).found == "no rows"
    assert judged.passed == (D1, D2)


def test_an_expectation_that_cannot_be_evaluated_fails_with_the_reason() -> None:
    one = expects("column_mean_to_be_between", column="code", min_value=0)

    found = result_of(Bench().audit(sales(one), ROWS[:2]), "r")

    assert found.status is Status.FAILED
    assert found.found.startswith("it could not be evaluated: ")


def test_values_of_a_private_column_are_masked() -> None:
    def private(one: Rule) -> Contract:
        of = sales(one)
        return replace(of, columns=tuple(replace(column, classification="confidential") for column in of.columns))

    for one in (BETWEEN, MEAN, expects("column_mean_to_be_between", column="code", min_value=0)):
        found = result_of(Bench().audit(private(one), [{**ROWS[2], "day": D1, "code": "secret"}]), "r").found
        assert found.endswith("***"), found
        assert "9" not in found.replace("***", "")
        assert "secret" not in found
    counted = expects("table_row_count_to_be_between", min_value=2)
    assert result_of(Bench().audit(private(counted), ROWS[:1]), "r").found == "1"


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (
            expects("nothing_in_particular"),
            r"rule r: expect_nothing_in_particular\(\) is not an expectation: .*not found",
        ),
        (expects("column_mean_to_be_between", columm="x"), r"rule r: .*columm=x.* is not an expectation"),
    ],
)
def test_what_is_no_expectation_is_refused_by_name(one: Rule, message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        Bench().audit(sales(one), ROWS, (D1, D2))


def test_a_table_without_partitions_is_one_batch() -> None:
    judged = Bench().audit(sales(MEAN, grain=Grain.NONE, partition_column=None), ROWS, (WHOLE,))

    assert result_of(judged, "r", WHOLE).found.startswith("4.33")


@pytest.mark.parametrize(
    ("one", "columns"),
    [
        (BETWEEN, {"quantity"}),
        (expects("column_pair_values_to_be_equal", column_A="id", column_B="quantity"), {"id", "quantity"}),
        (expects("compound_columns_to_be_unique", column_list=["id", "code"]), {"id", "code"}),
        (expects("table_row_count_to_be_between", min_value=1), set(sales().column_names)),
        (expects("column_values_to_not_be_null", column="id", row_condition="quantity>0"), set(sales().column_names)),
    ],
)
def test_only_the_columns_it_looks_at_are_loaded(one: Rule, columns: set[str]) -> None:
    assert needed_columns(sales(), one) == columns


def test_an_expectation_reads_as_one_line() -> None:
    assert describe(BETWEEN) == "expect_column_values_to_be_between(column=quantity, min_value=0, max_value=5)"


def test_great_expectations_is_imported_only_for_a_table_that_has_such_a_rule() -> None:
    program = (
        "import sys\n"
        "from dataplatform_tests.component.quality.bench import Bench, rule, sales\n"
        "Bench().audit(sales(rule('id:required', 'required', 'id')), [{'day': '2011-01-01', 'id': 1}])\n"
        "sys.exit('great_expectations' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.strip()) == (0, "")
