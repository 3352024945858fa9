"""What a value of a table rule must satisfy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from dataplatform.contracts.model import Rule, RuleKind
from dataplatform.quality.bounds import Bound


@pytest.mark.parametrize(
    ("name", "operand", "good", "bad", "words"),
    [
        ("mustBe", 0, 0, 1, "= 0"),
        ("mustBe", 0.1, Decimal("0.100"), Decimal("0.101"), "= 0.1"),
        ("mustBe", "GB", "GB", "gb", "= GB"),
        ("mustBe", True, True, False, "= True"),
        ("mustNotBe", 0, 1, 0, "!= 0"),
        ("mustBeGreaterThan", 0, Decimal("0.001"), 0, "> 0"),
        ("mustBeGreaterOrEqualTo", 0, 0, -1, ">= 0"),
        ("mustBeLessThan", 0.5, 0.49, 0.5, "< 0.5"),
        ("mustBeLessOrEqualTo", 0.5, 0.5, 0.51, "<= 0.5"),
        ("mustBeGreaterOrEqualTo", "2011-01-01", date(2011, 1, 1), date(2010, 12, 31), ">= 2011-01-01"),
        ("mustBeBetween", [1, 3], 1, 4, "between 1 and 3"),
        ("mustBeBetween", [1, 3], 3, 0, "between 1 and 3"),
        ("mustNotBeBetween", [1, 3], 4, 3, "not between 1 and 3"),
        ("mustNotBeBetween", [1, 3], 0, 1, "not between 1 and 3"),
    ],
)
def test_each_operator_tells_good_values_from_bad_ones(
    name: str, operand: Any, good: Any, bad: Any, words: str
) -> None:
    bound = Bound.of(Rule("r", RuleKind.TABLE, "rowCount", arguments={"unit": "rows", name: operand}))

    assert (bound.holds(good), bound.holds(bad)) == (True, False)
    assert str(bound) == words


@pytest.mark.parametrize("name", ["mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeBetween", "mustNotBeBetween"])
def test_null_passes_every_bound(name: str) -> None:
    assert Bound(name, [1, 2] if name.endswith("Between") else 1).holds(None)
