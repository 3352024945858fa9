"""The rules that a property implies by itself: required, unique, enum, relationships, logicalTypeOptions.

Rule names are `<column>:<test>` and never change while the promise stands. Rules written as `quality` items are
read in `quality_rules.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dataplatform.contracts.columns import ColumnNode, Properties
from dataplatform.contracts.model import Column, Rule, RuleKind, Severity
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.types import ColumnType

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NO_RULE = ("timezone", "defaultTimezone")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "integer": (*_BOUNDS, "multipleOf", "format"),
    "decimal": (*_BOUNDS, "multipleOf"),
    "float": _BOUNDS,
    "date": _BOUNDS,
    "timestamp": (*_BOUNDS, *_NO_RULE),
}
_TEXT_FORMATS = {
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "uuid": r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
    "uri": r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$",
    "hostname": r"^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$",
    "ipv4": r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.|$)){4}$",
}
_INTEGER_FORMATS = {
    **{f"i{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": (0, 2**bits - 1) for bits in (8, 16, 32)},
}


def column_rules(properties: Properties) -> list[Rule]:
    """Every rule the columns imply, in their order, and the primary key's."""
    rules = [rule for each in properties.nodes for rule in _with_severity(each)]
    if properties.primary_key:
        rules.append(Rule("primary_key", RuleKind.KEYS, "unique", properties.primary_key))
    return rules


def fits(value: Any, column_type: ColumnType) -> bool:
    """Whether a value written in a contract can be a value of the type."""
    match column_type.family:
        case "string" | "array":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "decimal" | "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case family:
            return isinstance(value, str) and _is_time(value, family)


def _is_time(value: str, family: str) -> bool:
    try:
        dt.date.fromisoformat(value) if family == "date" else dt.datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _with_severity(each: ColumnNode) -> Iterator[Rule]:
    """The column's rules with the severities of its custom property `severity`: {test: error or warning}."""
    wanted = next((item["value"] for item in each.node["customProperties"].items() if _is_severity(item)), None)
    rules = list(_rules(each))
    tests = [rule.name.partition(":")[2] for rule in rules]
    if wanted is not None and not isinstance(wanted.value, dict):
        wanted.refuse(f"{wanted.value!r} is not a mapping", "write {<rule>: warning}, such as {unique: warning}")
    severities = wanted.mapping if wanted is not None else {}
    for test in severities:
        if wanted is not None and test not in tests and each.is_typed:
            wanted.refuse(f"the column has no rule {test!r}", suggest(test, tests))
    for rule, test in zip(rules, tests, strict=True):
        if wanted is not None and test in severities:
            yield replace(rule, severity=Severity(wanted[test].choose(tuple(Severity), Severity.ERROR)))
        else:
            yield rule


def _is_severity(item: Node) -> bool:
    return item["property"].text == "severity"


def _rules(each: ColumnNode) -> Iterator[Rule]:
    node, column = each.node, each.column
    if column.required:
        yield _rule(column, "required")
    if each.is_typed:
        yield from _option_rules(node["logicalTypeOptions"], column)
        yield from _enum_rule(node["enum"], column)
    if node["unique"].flag:
        yield Rule(f"{column.name}:unique", RuleKind.KEYS, "unique", (column.name,))
    yield from _relationship_rule(node["relationships"], column)


def _rule(column: Column, test: str, **arguments: Any) -> Rule:
    return Rule(f"{column.name}:{test}", RuleKind.ROWS, test, (column.name,), arguments)


def _option_rules(options: Node, column: Column) -> Iterator[Rule]:
    allowed = _OPTIONS.get(column.type.family, ())
    for option, value in options.mapping.items():
        node = options[option]
        if option not in allowed:
            node.refuse(f"does not apply to {column.type}", suggest(option, allowed))
        elif option == "format":
            yield from _format_rule(node, column)
        elif option in _NO_RULE:
            if value not in (True, "UTC", "Etc/UTC"):
                node.refuse("a TIMESTAMP is always UTC with zone", "remove it")
        elif option in _BOUNDS and not fits(value, column.type):
            node.refuse(f"{value!r} is not a {column.type}", "write the bound as a value of the column's type")
        elif option != "pattern" or is_pattern(node):
            yield _rule(column, option, value=value)
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        least, most = options[low].value, options[high].value
        if _are_ordered(least, most) and least > most:
            options[low].refuse(f"{least} is above {high} {most}", "no value could pass: correct one of them")


def _are_ordered(least: Any, most: Any) -> bool:
    return all(isinstance(each, int | float) for each in (least, most)) or (
        isinstance(least, str) and isinstance(most, str)
    )


def _format_rule(node: Node, column: Column) -> Iterator[Rule]:
    """A text format becomes a pattern, an integer format becomes bounds: both stand in the rule's arguments."""
    name = node.text
    if column.type.family == "string" and name in _TEXT_FORMATS:
        yield _rule(column, "format", value=name, pattern=_TEXT_FORMATS[name])
    elif column.type.family == "integer" and name in _INTEGER_FORMATS:
        minimum, maximum = _INTEGER_FORMATS[name]
        yield _rule(column, "format", value=name, minimum=minimum, maximum=maximum)
    else:
        known = _TEXT_FORMATS if column.type.family == "string" else _INTEGER_FORMATS
        node.refuse(f"format {node.value!r} is not checked here", suggest(name, known))


def is_pattern(node: Node) -> bool:
    """Whether the text here is a regular expression; refuses it otherwise.

    Patterns run in engines without look-around and back-references; Arrow has the same regular expressions.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), node.text)
    except pa.ArrowInvalid as error:
        node.refuse(f"not a usable pattern ({error})", "use RE2 syntax, without look-around and back-references")
        return False
    return True


def _enum_rule(enum: Node, column: Column) -> Iterator[Rule]:
    values = [item["value"].value for item in enum.items()]
    for item, value in zip(enum.items(), values, strict=True):
        if not fits(value, column.type):
            item.refuse(f"{value!r} is not a {column.type}", "write it as a value of the column's type")
    if values:
        yield _rule(column, "enum", value=values)


def _relationship_rule(relationships: Node, column: Column) -> Iterator[Rule]:
    items = relationships.items()
    if len(items) > 1:
        relationships.refuse("a column refers to one table", "keep one relationship")
    for item in items[:1]:
        table, _, target = item["to"].text.partition(".")
        if not table or not target.isidentifier():
            item["to"].refuse(f"{item['to'].value!r} names no column", "write <table>.<column>")
            continue
        arguments = {"table": table, "column": target}
        kind = RuleKind.RELATIONSHIPS
        yield Rule(f"{column.name}:relationship", kind, "relationship", (column.name,), arguments)
