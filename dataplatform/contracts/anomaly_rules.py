"""The rules that a contract asks for by its custom property `anomalies`: each day against the days before it.

Which columns have which rule is decided here; what is anomalous is decided in the `quality` room.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dataplatform.contracts.columns import ColumnNode, Properties
from dataplatform.contracts.model import Grain, Rule, RuleKind, Severity
from dataplatform.contracts.nodes import Node, suggest

VOLUME, NULLS, DISTINCT, MEAN, QUANTILES, VALUES = (
    f"anomalous_{what}" for what in ("volume", "nulls", "distinct", "mean", "quantiles", "values")
)
_KEYS = ("severity", "leaveOut", "values", "weeks", "days")
_DEFAULTS = {"weeks": 8, "days": 20}
_FEWEST_WEEKS, _FEWEST_DAYS = 2, 5
_NUMBERS = {"INTEGER", "BIGINT", "DOUBLE"}


def anomaly_rules(node: Node, grain: Grain, properties: Properties) -> tuple[Rule, ...]:
    """The rules; none when the contract does not ask for them."""
    if not node.is_set:
        return ()
    if not isinstance(node.value, dict):
        node.refuse(f"{node.value!r} is not a mapping", "write {} for the defaults")
        return ()
    if grain is not Grain.DAY:
        node.refuse("days are compared with the days before them", "add partitioning: day, or remove it")
    node.allow_keys(_KEYS)
    severity = Severity(node["severity"].choose(tuple(Severity), Severity.WARNING))
    history = {"weeks": _whole(node["weeks"], _FEWEST_WEEKS), "days": _whole(node["days"], _FEWEST_DAYS)}
    left_out, listed = _columns(node["leaveOut"], properties), _columns(node["values"], properties)
    rules = [_rule(VOLUME, VOLUME, (), history, severity)]
    for each in properties.nodes:
        name = each.column.name
        if each.column.is_private and name in listed:
            node["values"].refuse(f"{name} is private: its values are not kept", "remove it")
        if name not in left_out and name not in properties.partitioned_by and each.is_typed:
            rules += [
                _rule(f"{name}:{test}", test, (name,), history, severity)
                for test in _tests(each, is_key=name in properties.primary_key, is_listed=name in listed)
            ]
    return tuple(rules)


def _tests(each: ColumnNode, *, is_key: bool, is_listed: bool) -> Iterator[str]:
    """What can be said of a column. Of private ones only how many there are, never which."""
    column = each.column
    kind = "DECIMAL" if column.type.is_decimal else column.type.name
    points = each.node["relationships"].is_set or column.name.endswith(("_id", "_key"))
    if not column.required:
        yield NULLS
    if not is_key and kind != "VARCHAR[]" and (points or kind == "VARCHAR") and not (is_listed or _few(each)):
        yield DISTINCT
    if column.is_private or is_key:
        return
    if (kind in _NUMBERS or kind == "DECIMAL") and not points and not is_listed:
        yield MEAN
        yield QUANTILES
    if is_listed or _few(each):
        yield VALUES


def _few(each: ColumnNode) -> bool:
    """Whether the contract itself says that the column has few values."""
    return each.node["enum"].is_set or each.column.type.name == "BOOLEAN"


def _rule(name: str, test: str, columns: tuple[str, ...], history: dict[str, Any], severity: Severity) -> Rule:
    return Rule(name, RuleKind.ANOMALIES, test, columns, history, severity)


def _whole(node: Node, least: int) -> int:
    default = _DEFAULTS[node.where.rpartition(".")[2]]
    if not node.is_set:
        return default
    if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < least:
        node.refuse(f"{node.value!r} is too little history", f"write a whole number from {least} on")
        return default
    return node.value


def _columns(node: Node, properties: Properties) -> frozenset[str]:
    if node.is_set and not node.texts:
        node.refuse(f"{node.value!r} names no column", "list columns")
    for name in node.texts:
        if name not in properties.names:
            node.refuse(f"there is no column {name!r}", suggest(name, properties.names))
    return frozenset(node.texts)
