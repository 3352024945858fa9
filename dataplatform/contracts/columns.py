"""Reading a table's properties: its columns, its primary key, the column it is partitioned by.

The rules a property implies are derived in `column_rules.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dataplatform.contracts.model import Column
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.types import ColumnType

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TYPE_NAMES = ("VARCHAR", "VARCHAR[]", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL(18,3)")
_MONEY_WORDS = frozenset({"amount", "price"})
_CUSTOM = ("unit", "severity")
_NESTED = ("properties", "map")


@dataclass(frozen=True, slots=True)
class ColumnNode:
    """One column together with the place in the file it was read from."""

    node: Node
    column: Column
    is_typed: bool


@dataclass(frozen=True, slots=True)
class Properties:
    """What the properties of a table say. `partitioned_by` holds every column so marked: one or none is right."""

    nodes: tuple[ColumnNode, ...]
    primary_key: tuple[str, ...]
    partitioned_by: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(each.column for each in self.nodes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.column.name for each in self.nodes)

    @property
    def are_typed(self) -> bool:
        """Whether every type was understood, so that SQL over the columns can be judged."""
        return all(each.is_typed for each in self.nodes)


def custom_properties(node: Node, known: tuple[str, ...]) -> dict[str, Node]:
    """The `value` nodes of a `customProperties` list by name; unknown and repeated names are refused."""
    found: dict[str, Node] = {}
    for item in node["customProperties"].items():
        name = item["property"].text
        if name in found:
            item.refuse(f"custom property {name!r} stands twice", "keep one")
        elif name not in known:
            item.refuse(f"unknown custom property {name!r}", suggest(name, known))
        else:
            found[name] = item["value"]
    return found


def read_properties(table: Node) -> Properties:
    """Reads `schema[…].properties`, refusing what no lake table can be."""
    nodes: list[ColumnNode] = []
    seen: set[str] = set()
    for node in table["properties"].items():
        name = node["name"].text
        if name in seen:
            node.refuse(f"column {name!r} stands twice", "keep one")
        elif name:
            nodes.append(_column(node, name))
        seen.add(name)
    if not nodes:
        table["properties"].refuse("the table has no columns", "list them")
    partitioned = tuple(each.column.name for each in nodes if each.node["partitioned"].flag)
    return Properties(tuple(nodes), _primary_key(nodes), partitioned)


def _column(node: Node, name: str) -> ColumnNode:
    if not _NAME.fullmatch(name):
        node.refuse(f"column name {name!r} is not snake_case", "use small letters, digits and _, a letter first")
    for key in _NESTED:
        if node[key].is_set:
            node[key].refuse("columns hold no columns", "make each its own column")
    for key in ("physicalName", "encryptedName"):
        if node[key].is_set and node[key].text != name:
            node[key].refuse("a column has one name", "remove it")
    column_type = _type(node)
    unit = custom_properties(node, _CUSTOM).get("unit")
    if column_type and unit is None and _is_money(name, column_type):
        node.refuse("an amount of money has no unit", "add customProperties: [{property: unit, value: GBP}]")
    column = Column(
        name=name,
        type=column_type or ColumnType.parse("VARCHAR"),
        description=node["description"].demand("the column's description"),
        required=node["required"].flag,
        classification=node["classification"].text or None,
        unit=unit.demand("the unit") if unit else None,
    )
    return ColumnNode(node, column, column_type is not None)


def _type(node: Node) -> ColumnType | None:
    physical, logical = node["physicalType"], node["logicalType"]
    if not physical.demand("the column's type"):
        return None
    try:
        column_type = ColumnType.parse(physical.text)
    except ValueError:
        physical.refuse(f"unknown type {physical.text!r}", suggest(physical.text.upper(), _TYPE_NAMES))
        return None
    if logical.value != column_type.logical:
        found = f"logicalType {logical.value!r} does not go with {column_type}" if logical.is_set else "it is missing"
        logical.refuse(found, f"write {column_type.logical}")
    item = node["items"]["logicalType"]
    if item.is_set and item.value != "string":
        item.refuse(f"{column_type} holds no {item.value}", "write string")
    return column_type


def _is_money(name: str, column_type: ColumnType) -> bool:
    return name.rsplit("_", 1)[-1] in _MONEY_WORDS and column_type.logical in {"number", "integer"}


def _primary_key(nodes: list[ColumnNode]) -> tuple[str, ...]:
    keys = [each for each in nodes if each.node["primaryKey"].flag]
    for each in keys:
        if not each.column.required:
            each.node.refuse("a primary key column may be NULL", "add required: true")
    positions = [each.node["primaryKeyPosition"].value for each in keys]
    if len(keys) > 1 and sorted(map(str, positions)) != [str(place) for place in range(1, len(keys) + 1)]:
        names = ", ".join(each.column.name for each in keys)
        keys[0].node["primaryKeyPosition"].refuse(
            f"the positions of {names} are {positions}", f"number them from 1 to {len(keys)}"
        )
        return tuple(each.column.name for each in keys)
    return tuple(each.column.name for _, each in sorted(zip(map(str, positions), keys, strict=True), key=_first))


def _first(pair: tuple[str, ColumnNode]) -> tuple[int, str]:
    return len(pair[0]), pair[0]
