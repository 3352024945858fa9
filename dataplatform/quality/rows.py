"""Row rules as Ibis expressions over a staged table: which rows break a rule, and with which value.

Rules follow SQL's CHECK: a row breaks a rule when its test is false, so a NULL passes unless the test is
`required`. Patterns are searched anywhere in the text, as JSON Schema and ODCS say: anchor them with `^` and `$`.
They are RE2 (no look-around, no back-references), `.` matches no newline and `$` only the very end. Lengths count
characters. Nothing is counted or judged here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from dataplatform.contracts.model import Contract, Rule
from dataplatform.errors import PermanentError
from dataplatform.quality.sqltext import predicate

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

VALUE_LENGTH = 100
"""Longer offending values are cut to this many characters in reasons and messages."""

_BREAKS: Mapping[str, tuple[Callable[[Any, Any], Any], str]] = {
    "minimum": (operator.lt, ">="),
    "maximum": (operator.gt, "<="),
    "exclusiveMinimum": (operator.le, ">"),
    "exclusiveMaximum": (operator.ge, "<"),
}
_FLOAT_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class RowTest:
    """A rule that single rows can break. `breaks` is true for such rows, and false or NULL for the others."""

    rule: Rule
    breaks: ir.BooleanValue
    value: ir.StringColumn
    expected: str

    @property
    def reason(self) -> ir.StringColumn:
        """`rule: value`, as it stands in the quarantine."""
        import ibis

        name: Any = ibis.literal(f"{self.rule.name}: ")
        return cast("ir.StringColumn", name + self.value)


def row_tests(contract: Contract, staged: ibis.Table, rules: Iterable[Rule]) -> tuple[ibis.Table, list[RowTest]]:
    """The tests of `rules` over the returned table: `staged` with one boolean column more for each predicate."""
    rules = tuple(rules)
    predicates = {rule.name: f"_predicate_{n}" for n, rule in enumerate(rules) if rule.test == "predicate"}
    table = _with_predicates(staged, rules, predicates)
    tests = []
    for rule in rules:
        if rule.test == "predicate":
            breaks, expected = ~table[predicates[rule.name]], str(rule.arguments["expression"])
        else:
            breaks, expected = _column_test(contract, table, rule)
        tests.append(RowTest(rule, breaks, values_text(table, rule.columns), expected))
    return table, tests


def values_text(table: ibis.Table, columns: tuple[str, ...]) -> ir.StringColumn:
    """The values of `columns` as one text that is never NULL: the value, or `a=1, b=NULL` for several."""
    import ibis

    texts: list[Any] = [table[name].cast("string").left(VALUE_LENGTH).fill_null("NULL") for name in columns]
    if len(texts) == 1:
        return cast("ir.StringColumn", texts[0])
    text: Any = ibis.literal("")
    for number, (name, value) in enumerate(zip(columns, texts, strict=True)):
        text = text + f"{', ' if number else ''}{name}=" + value
    return cast("ir.StringColumn", text)


def typed_literal(value: Any, column: ir.Value) -> Any:
    """`value`, as written in a contract, to compare with `column` without losing a digit or a zone."""
    import ibis

    kind = column.type()
    if kind.is_decimal() or kind.is_integer():
        number = Decimal(str(value))
        scale = max(-int(number.as_tuple().exponent), kind.scale if kind.is_decimal() else 0)
        # without a type DuckDB takes DECIMAL(18,3), and 0.0005 would become 0.001
        return ibis.literal(number, type=f"decimal(38, {scale})") if scale else ibis.literal(int(number))
    if kind.is_date():
        return ibis.literal(value if isinstance(value, date) else date.fromisoformat(str(value)))
    if kind.is_timestamp():
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return ibis.literal(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    return ibis.literal(str(value)) if kind.is_string() else ibis.literal(value)


def _with_predicates(staged: ibis.Table, rules: tuple[Rule, ...], names: Mapping[str, str]) -> ibis.Table:
    import ibis
    import ibis.expr.operations as ops

    if not names:
        return staged
    backend = staged.get_backend()
    added = [f"({predicate(rule, backend.dialect)}) AS {names[rule.name]}" for rule in rules if rule.name in names]
    query = f"SELECT *, {', '.join(added)} FROM ({backend.compile(staged)}) AS staged"
    # not `backend.sql`: it asks the engine for a schema that is known here
    schema = ibis.schema({**staged.schema(), **dict.fromkeys(names.values(), "boolean")})
    return ops.SQLQueryResult(query, schema, backend).to_expr()


def _column_test(contract: Contract, table: ibis.Table, rule: Rule) -> tuple[Any, str]:
    """When a row breaks the rule, and the rule in words."""
    name = rule.columns[0]
    column: Any = table[name]
    wanted = rule.arguments.get("value")
    if rule.test in _BREAKS:
        breaks, sign = _BREAKS[rule.test]
        return breaks(column, typed_literal(wanted, column)), f"{name} {sign} {wanted}"
    if rule.test == "required":
        return column.isnull(), f"{name} is not NULL"
    if rule.test == "minLength":
        return column.length() < int(str(wanted)), f"{name} has at least {wanted} characters"
    if rule.test == "maxLength":
        return column.length() > int(str(wanted)), f"{name} has at most {wanted} characters"
    if rule.test == "pattern":
        return ~column.re_search(str(wanted)), f"{name} matches {wanted}"
    if rule.test == "format":
        return _not_formatted(column, rule), f"{name} has the format {wanted}"
    if rule.test == "enum":
        members = list(wanted or ())
        return column.notin([typed_literal(member, column) for member in members]), f"{name} in {_listed(members)}"
    if rule.test == "multipleOf":
        return _no_multiple(column, wanted), f"{name} is a multiple of {wanted}"
    raise PermanentError(f"{contract.full_name}: rule {rule.name} has an unknown test {rule.test!r}")


def _not_formatted(column: Any, rule: Rule) -> Any:
    """A format is a pattern for text and bounds for integers; the contract's reader wrote which."""
    if "pattern" in rule.arguments:
        return ~column.re_search(str(rule.arguments["pattern"]))
    return (column < rule.arguments["minimum"]) | (column > rule.arguments["maximum"])


def _no_multiple(column: Any, unit: Any) -> Any:
    if column.type().is_floating():
        quotient = column / float(unit)
        return (quotient - quotient.round()).abs() > _FLOAT_TOLERANCE
    return column % typed_literal(unit, column) != 0


def _listed(members: list[Any], most: int = 12) -> str:
    shown = ", ".join(str(member) for member in members[:most])
    return f"({shown})" if len(members) <= most else f"({shown}, … {len(members)} values)"
