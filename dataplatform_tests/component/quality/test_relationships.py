"""References to other tables."""

from __future__ import annotations

import pytest

from dataplatform.contracts.model import Layer, Rule, RuleKind
from dataplatform.quality.results import Status
from dataplatform_tests.component.quality.bench import (
    D1,
    D2,
    D3,
    Bench,
    Rows,
    result_of,
    results_of,
    rows_of,
    rule,
    sales,
)


def refers(*, warning: bool = False) -> Rule:
    name, kind = "code:relationship", RuleKind.RELATIONSHIPS
    return rule(name, "relationship", "code", kind=kind, warning=warning, table="dim_code", column="code_id")


CODES: dict[str, Rows] = {"dim_code": [{"code_id": "a"}, {"code_id": "b"}, {"code_id": None}]}
ROWS = [
    {"day": D1, "id": 1, "code": "a"},
    {"day": D1, "id": 2, "code": None},
    {"day": D2, "id": 3, "code": "b"},
    {"day": D2, "id": 4, "code": "y"},
    {"day": D2, "id": 5, "code": "x"},
]


def test_values_that_are_published_there_pass_and_null_refers_to_nothing() -> None:
    judged = Bench(others=CODES).audit(sales(refers()), ROWS[:3], (D1, D2))

    found = result_of(judged, "code:relationship")
    assert (found.status, found.expected, found.found) == (Status.PASSED, "code in dim_code.code_id", "all 2 rows")
    assert judged.passed == (D1, D2)


@pytest.mark.parametrize("warning", [True, False])
def test_a_value_that_is_not_there_fails_its_day_or_warns(warning: bool) -> None:
    judged = Bench(others=CODES).audit(sales(refers(warning=warning)), ROWS, (D1, D2, D3))

    found = results_of(judged, "code:relationship")
    assert [result.failed_rows for result in found.values()] == [0, 2, 0]
    assert found[D2].found == "2 of 3 rows, such as x"
    assert found[D2].status is (Status.WARNED if warning else Status.FAILED)
    assert judged.passed == ((D1, D2, D3) if warning else (D1, D3))


def test_the_rows_that_refer_to_nothing_are_kept_as_evidence() -> None:
    judged = Bench(others=CODES).audit(sales(refers()), ROWS, (D1, D2))

    assert {row["id"]: row["_reasons"] for row in rows_of(judged.blocked)} == {
        4: ["code:relationship: y"],
        5: ["code:relationship: x"],
    }


def test_quarantined_rows_refer_to_nothing() -> None:
    rules = (refers(), rule("code:enum", "enum", "code", value=["a", "b"]))

    judged = Bench(others=CODES).audit(sales(*rules, layer=Layer.CLEANED), ROWS, (D1, D2))

    assert judged.passed == (D1, D2)
    assert {row["id"] for row in rows_of(judged.quarantined)} == {4, 5}
