"""The rules written as `quality` items: library metrics, sql, and the custom engines this platform has.

Library metrics mean what the Open Data Contract Standard says. A quality item of a property is named
`<column>:<id>`, one of the table `<id>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dataplatform.contracts.column_rules import is_pattern
from dataplatform.contracts.columns import Properties
from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.sql_check import normalise, predicate_columns, query_problem

COMPARISONS = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_ENGINES = ("dataplatform", "greatExpectations")
_OF_PROPERTY = ("nullValues", "missingValues", "invalidValues", "duplicateValues")
_OF_TABLE = ("rowCount", "duplicateValues")
_METRIC_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
}


@dataclass(frozen=True, slots=True)
class _Item:
    """A quality item: where it stands, and the column it is about when it stands under a property."""

    node: Node
    column: str | None
    properties: Properties

    def rule(self, kind: RuleKind, test: str, columns: tuple[str, ...], arguments: dict[str, Any]) -> Rule:
        name = self.node["id"].text or self.node["name"].text
        return Rule(
            name=f"{self.column}:{name}" if self.column else name,
            kind=kind,
            test=test,
            columns=columns,
            arguments=arguments,
            severity=Severity(self.node["severity"].choose(tuple(Severity), Severity.ERROR)),
            description=self.node["description"].text,
        )


def quality_rules(table: Node, properties: Properties) -> list[Rule]:
    """The rules of the table's own quality items, then those of its properties'."""
    items = [_Item(node, None, properties) for node in table["quality"].items()]
    for each in properties.nodes:
        items += [_Item(node, each.column.name, properties) for node in each.node["quality"].items()]
    return [rule for item in items for rule in _read(item)]


def _read(item: _Item) -> Iterator[Rule]:
    node = item.node
    kind = node["type"].text or "library"
    if kind == "text":
        return
    if not (node["id"].text or node["name"].text):
        node.refuse("the rule has no name", "give it an id: its history is kept under it")
    for key in ("scheduler", "schedule"):
        if node[key].is_set:
            node[key].refuse("rules run with every publication", "remove it")
    readers = {"library": _library, "sql": _sql, "custom": _custom}
    if kind in readers:
        yield from readers[kind](item)


def _comparison(item: _Item) -> dict[str, Any]:
    """The one comparison of the item, checked: `{"mustBe": 0}`."""
    found = {key: item.node[key].value for key in COMPARISONS if item.node[key].is_set}
    for key, value in found.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(each, int | float) for each in values):
            item.node[key].refuse(f"{value!r} is not a number", "write a number")
        elif isinstance(value, list) and values != sorted(values):
            item.node[key].refuse(f"{value} has its bounds the wrong way round", "write the smaller number first")
    return found


def _library(item: _Item) -> Iterator[Rule]:
    node, metric = item.node, item.node["metric"].text
    if node["rule"].is_set:
        node["rule"].refuse("`rule` is the old name of a metric", "write metric instead")
    here = _OF_PROPERTY if item.column else _OF_TABLE
    if metric not in here:
        if metric in (*_OF_PROPERTY, *_OF_TABLE):
            place = "a property" if metric in _OF_PROPERTY else "the table"
            node["metric"].refuse(f"{metric} is a metric of {place}", f"move the rule to {place}")
        elif not metric and not node["type"].is_set:
            node.refuse("the rule has neither a type nor a metric", "add type: library, sql, custom or text")
        return
    unit = node["unit"].choose(("rows", "percent"), "rows")
    if metric == "rowCount" and unit == "percent":
        node["unit"].refuse("a row count has no percentage", "write rows")
    columns = (item.column,) if item.column else _named_columns(item, metric)
    _check_arguments(item, metric)
    arguments = {**_comparison(item), "arguments": node["arguments"].mapping, "unit": unit}
    yield item.rule(RuleKind.TABLE, metric, columns, arguments)


def _named_columns(item: _Item, metric: str) -> tuple[str, ...]:
    """The columns that duplicateValues of a table names: `arguments: {properties: [...]}`."""
    if metric != "duplicateValues":
        return ()
    named = item.node["arguments"]["properties"]
    if not named.texts:
        named.refuse("duplicateValues of a table needs its columns", "add arguments: {properties: [<column>, …]}")
    for name in named.texts:
        if name not in item.properties.names:
            named.refuse(f"there is no column {name!r}", suggest(name, item.properties.names))
    return named.texts


def _check_arguments(item: _Item, metric: str) -> None:
    arguments = item.node["arguments"]
    if metric == "duplicateValues" and not item.column:
        arguments.allow_keys(("properties",))
        return
    known = _METRIC_ARGUMENTS.get(metric, ())
    arguments.allow_keys(known)
    if known and not any(arguments[key].is_set for key in known):
        arguments.refuse(f"{metric} needs {' or '.join(known)}", "add it")
    for key in ("missingValues", "validValues"):
        if arguments[key].is_set and not isinstance(arguments[key].value, list):
            arguments[key].refuse(f"{arguments[key].value!r} is not a list", "write [<value>, …]")
    if arguments["pattern"].is_set:
        is_pattern(arguments["pattern"])


def _sql(item: _Item) -> Iterator[Rule]:
    query = normalise(item.node["query"].text, item.column)
    problem = query_problem(query, item.properties.columns) if item.properties.are_typed else ""
    if problem:
        fix = "write one aggregate such as SELECT count(*) FROM ${object} WHERE …; it is judged per partition"
        item.node["query"].refuse(problem, fix)
    columns = (item.column,) if item.column else ()
    yield item.rule(RuleKind.TABLE, "sql", columns, {"query": query, **_comparison(item)})


def _custom(item: _Item) -> Iterator[Rule]:
    engine = item.node["engine"].text
    if engine == "dataplatform":
        yield from _predicate(item)
    elif engine == "greatExpectations":
        yield from _expectation(item)
    else:
        item.node["engine"].refuse(f"engine {engine!r} is not known", suggest(engine, _ENGINES))


def _predicate(item: _Item) -> Iterator[Rule]:
    implementation = item.node["implementation"]
    implementation.allow_keys(("row",))
    expression = implementation["row"].demand("the row's condition")
    rule = item.rule(RuleKind.ROWS, "predicate", (), {"expression": expression})
    if not expression or not item.properties.are_typed:
        return
    columns, problem = predicate_columns(expression, item.properties.columns)
    if problem:
        fix = "write a condition such as net_amount = total_amount - discount_amount, in DuckDB's dialect"
        implementation["row"].refuse(problem, fix)
    yield replace(rule, columns=columns)


def _expectation(item: _Item) -> Iterator[Rule]:
    implementation = item.node["implementation"]
    implementation.allow_keys(("type", "kwargs"))
    name, arguments = implementation["type"].demand("the expectation's type"), implementation["kwargs"]
    if name and not name.startswith("expect_"):
        implementation["type"].refuse(f"{name!r} is no expectation", "write its name, such as expect_column_to_exist")
    named = [arguments[key].value for key in ("column", "column_A", "column_B") if arguments[key].is_set]
    named += arguments["column_list"].texts
    for column in named:
        if column not in item.properties.names:
            arguments.refuse(f"there is no column {column!r}", suggest(str(column), item.properties.names))
    expectation = {"type": name, "kwargs": arguments.mapping}
    yield item.rule(RuleKind.EXPECTATIONS, "expectation", tuple(named), {"expectation": expectation})
