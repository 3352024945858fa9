"""Column lineage: from which columns of which inputs a column's value is made.

Values only: what filters and joins use decides which rows there are, not what a column holds. `count(*)` therefore
comes from no column. Functions on pandas frames cannot be looked into and have lineage by table alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis.expr.operations as ops

if TYPE_CHECKING:
    import ibis
    from sqlglot import exp

Origin = tuple[str, str]
"""A table's name (or the parameter's it came in by) and a column of it."""


def of_expression(table: ibis.Table) -> dict[str, frozenset[Origin]]:
    """Per column of `table`, the columns of physical tables its value is made from."""
    walk = _Walk()
    return {name: walk.column(table.op(), name) for name in table.columns}


def of_sql(query: exp.Query) -> dict[str, frozenset[Origin]]:
    """The same for a statement whose columns are qualified (`sqlglot.optimizer.qualify`)."""
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.scope import build_scope

    scope = build_scope(query)
    return {
        name: frozenset(
            (node.source.name, node.name.rpartition(".")[2].strip('"'))
            for node in lineage(name, query, dialect="duckdb", scope=scope, copy=False).walk()
            if isinstance(node.source, exp.Table)
        )
        for name in query.named_selects
    }


def named(origins: Mapping[str, frozenset[Origin]], tables: Mapping[str, str]) -> dict[str, frozenset[Origin]]:
    """Lineage in the names of tables instead of parameters."""
    return {column: frozenset((tables[name], source) for name, source in found) for column, found in origins.items()}


class _Walk:
    """One walk over an expression tree. Every column of every relation is followed once, however often it is used."""

    def __init__(self) -> None:
        self._columns: dict[tuple[ops.Relation, str], frozenset[Origin]] = {}
        self._values: dict[ops.Node, frozenset[Origin]] = {}

    def column(self, relation: ops.Relation, name: str) -> frozenset[Origin]:
        key = (relation, name)
        if key not in self._columns:
            self._columns[key] = self._column(relation, name)
        return self._columns[key]

    def _column(self, relation: ops.Relation, name: str) -> frozenset[Origin]:
        if isinstance(relation, ops.Set):
            return self.column(relation.left, name) | self.column(relation.right, name)
        if isinstance(relation, ops.TableUnnest) and name in (relation.column_name, relation.offset):
            return self._value(relation.column)
        if name in relation.values:
            return self._value(relation.values[name])
        parent = getattr(relation, "parent", None)
        return frozenset({(relation.name, name)}) if parent is None else self.column(parent, name)

    def _value(self, node: ops.Node) -> frozenset[Origin]:
        if node not in self._values:
            self._values[node] = self._from_parts(node)
        return self._values[node]

    def _from_parts(self, node: ops.Node) -> frozenset[Origin]:
        if isinstance(node, ops.Field):
            return self.column(node.rel, node.name)
        parts = [self._value(child) for child in node.__children__ if isinstance(child, ops.Value | ops.SortKey)]
        if isinstance(node, ops.ScalarSubquery | ops.InSubquery):
            parts.append(self.column(node.rel, node.rel.schema.names[0]))
        return frozenset().union(*parts)
