"""Judging the SQL written in contracts: row predicates and aggregate queries, in DuckDB's dialect.

sqlglot says which form a text has; DuckDB itself, on an empty table with the contract's columns, says whether it
means something. Nothing here runs on data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Column

if TYPE_CHECKING:
    import duckdb
    from sqlglot import exp

OBJECT = "${object}"
_TABLE = "__object__"
_CLAUSES = ("with", "with_", "joins", "group", "having", "order", "limit", "offset", "distinct", "qualify", "laterals")


_EXACT = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT|U?INTEGER)$|DECIMAL\(")


def predicate_columns(expression: str, columns: Sequence[Column]) -> tuple[tuple[str, ...], str]:
    """The columns a row predicate reads, and what is wrong with it (empty when nothing is)."""
    names, problem, kind = _row_expression(expression, columns, "({})")
    return names, problem or ("" if kind == "BOOLEAN" else f"it is {kind}, not true or false")


def amount_columns(expression: str, columns: Sequence[Column]) -> tuple[tuple[str, ...], str]:
    """The columns an expression reads whose values are summed, and what is wrong with it (empty when nothing is)."""
    names, problem, kind = _row_expression(expression, columns, "({}) IS NULL")
    return names, problem or ("" if _EXACT.match(kind) else f"it is {kind}, whose sums are not exact amounts")


def _row_expression(expression: str, columns: Sequence[Column], condition: str) -> tuple[tuple[str, ...], str, str]:
    """The columns that an expression over one row reads, what is wrong with it, and the type that DuckDB gives it."""
    from sqlglot import exp

    tree = _parse(expression)
    if tree is None:
        return (), "it is not one SQL expression", ""
    if isinstance(tree, exp.Alias | exp.Star) or tree.find(exp.Query, exp.DDL, exp.DML, exp.Command):
        return (), "it must be one expression over the row's own columns", ""
    used = {column.name.lower() for column in tree.find_all(exp.Column)}
    names = tuple(column.name for column in columns if column.name in used)
    if missing := sorted(used - set(names)):
        return names, f"there is no column {', '.join(missing)}", ""
    # a WHERE clause is where SQL itself refuses aggregates and window functions
    problem = _bind(f"SELECT 1 FROM {_TABLE} WHERE {condition.format(f'{expression}{chr(10)}')}", columns)
    kind = "" if problem else _result_type(f"SELECT ({expression}\n) FROM {_TABLE}", columns)
    return names, problem, kind


def query_problem(query: str, columns: Sequence[Column]) -> str:
    """What is wrong with the query of an sql rule (empty when nothing is): see `docs/contracts.md`."""
    from sqlglot import exp

    if OBJECT not in query:
        return f"it does not read {OBJECT}"
    sql = query.replace(OBJECT, _TABLE)
    tree = _parse(sql)
    if not isinstance(tree, exp.Select):
        return "it is not one SELECT"
    if problem := _form_problem(tree):
        return problem
    if problem := _bind(sql, columns):
        return problem
    rows = _on_empty(columns).execute(sql).fetchall()
    return "" if len(rows) == 1 else "it selects rows, not one value"


def normalise(query: str, column: str | None) -> str:
    """The query with the standard's placeholders in one spelling, and `${property}` replaced by the column."""
    text = re.sub(r"\$?\{(?:object|table)\}", OBJECT, query.strip().rstrip(";"))
    return re.sub(r"\$?\{(?:property|column)\}", column, text) if column else text


def _form_problem(tree: exp.Select) -> str:
    from sqlglot import exp

    if len(tree.expressions) != 1:
        return "it selects more than one value"
    tables = [table.name for table in tree.find_all(exp.Table)]
    if tables != [_TABLE] or len(list(tree.find_all(exp.Select))) > 1:
        return f"it must read {OBJECT} once and nothing else"
    if any(tree.args.get(clause) for clause in _CLAUSES):
        return "it must be one aggregate without WITH, JOIN, GROUP BY, HAVING, ORDER BY, LIMIT or DISTINCT"
    if tree.find(exp.Window):
        return "it must be one aggregate without window functions"
    return ""


def _parse(sql: str) -> exp.Expr | None:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError:
        return None
    return trees[0] if len(trees) == 1 else None


@cache
def _scratch() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"threads": "1", "enable_external_access": "false"})


def _on_empty(columns: Sequence[Column]) -> duckdb.DuckDBPyConnection:
    """A cursor whose only table of the name is empty and has these columns."""
    cursor = _scratch().cursor()
    listed = ", ".join(f'"{column.name}" {column.type.duckdb}' for column in columns)
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_TABLE} ({listed})")
    return cursor


def _bind(sql: str, columns: Sequence[Column]) -> str:
    import duckdb

    try:
        _on_empty(columns).execute(sql)
    except duckdb.Error as error:
        return str(error).split("\n", maxsplit=1)[0].replace(_TABLE, OBJECT)
    return ""


def _result_type(sql: str, columns: Sequence[Column]) -> str:
    description = _on_empty(columns).execute(sql).description
    return str(description[0][1]) if description else ""
