"""ODCS's `mustBe…` operators: what a value of a table rule must satisfy.

Between includes both ends. A value that is NULL passes every bound, as in SQL's CHECK: there was nothing to judge
(write `coalesce` in the query where nothing is wrong). Numbers are compared as decimals, exactly, unless the value
is a float; everything else as text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dataplatform.contracts.model import Rule

_SINGLE: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "mustBe": (operator.eq, "="),
    "mustNotBe": (operator.ne, "!="),
    "mustBeGreaterThan": (operator.gt, ">"),
    "mustBeGreaterOrEqualTo": (operator.ge, ">="),
    "mustBeLessThan": (operator.lt, "<"),
    "mustBeLessOrEqualTo": (operator.le, "<="),
}
_PAIRS = {"mustBeBetween": "between", "mustNotBeBetween": "not between"}


@dataclass(frozen=True, slots=True)
class Bound:
    """One `mustBe…` operator with its operand."""

    name: str
    operand: Any

    @classmethod
    def of(cls, rule: Rule) -> Bound:
        """The operator of a table rule; its contract's reader saw to it that there is one."""
        name = next(name for name in rule.arguments if name in _SINGLE or name in _PAIRS)
        return cls(name, rule.arguments[name])

    def holds(self, value: Any) -> bool:
        if value is None:
            return True
        if self.name in _PAIRS:
            low, high = (_pair(value, operand) for operand in self.operand)
            between: bool = low[0] >= low[1] and high[0] <= high[1]
            return between == (self.name == "mustBeBetween")
        return _SINGLE[self.name][0](*_pair(value, self.operand))

    def __str__(self) -> str:
        if self.name in _PAIRS:
            return f"{_PAIRS[self.name]} {self.operand[0]} and {self.operand[1]}"
        return f"{_SINGLE[self.name][1]} {self.operand}"


def _pair(value: Any, operand: Any) -> tuple[Any, Any]:
    """Both sides in one comparable type."""
    if isinstance(value, float):
        return value, float(operand)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value), Decimal(str(operand))
    return str(value), str(operand)
