"""Tables written as `.sql` files: what a statement may say, and how it runs on an engine.

DuckDB's dialect, carried to other engines by translation. Translation is silent where meanings differ (`isodow`,
`log`, `AT TIME ZONE`, …), so functions and syntax are admitted by list and everything else is refused when the table
is bound. Reading the file is `contracts/sql.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from dataplatform.contracts.sql import parse
from dataplatform.engines.macros import MACRO_NAMES

if TYPE_CHECKING:
    import ibis
    from ibis.backends.sql import SQLBackend

    from dataplatform.contracts.functions import TableFunction

FUNCTIONS: Mapping[type[exp.Expr], str] = {
    exp.Abs: "abs",
    exp.ArgMax: "arg_max",
    exp.ArgMin: "arg_min",
    exp.Avg: "avg",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
    exp.Case: "case",
    exp.Cast: "cast",
    exp.Ceil: "ceil",
    exp.Coalesce: "coalesce",
    exp.Count: "count",
    exp.CountIf: "count_if",
    exp.DateDiff: "date_diff",
    exp.TimestampTrunc: "date_trunc",
    exp.DateTrunc: "date_trunc",
    exp.Day: "day",
    exp.DenseRank: "dense_rank",
    exp.Floor: "floor",
    exp.Greatest: "greatest",
    exp.If: "if",
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.Least: "least",
    exp.Length: "length",
    exp.Lower: "lower",
    exp.DateFromParts: "make_date",
    exp.Max: "max",
    exp.Min: "min",
    exp.Month: "month",
    exp.Ntile: "ntile",
    exp.Nullif: "nullif",
    exp.Quarter: "quarter",
    exp.Rank: "rank",
    exp.RegexpLike: "regexp_matches",
    exp.RegexpReplace: "regexp_replace",
    exp.Replace: "replace",
    exp.Round: "round",
    exp.RowNumber: "row_number",
    exp.SHA2: "sha256",
    exp.StartsWith: "starts_with",
    exp.Substring: "substring",
    exp.Sum: "sum",
    exp.Trim: "trim",
    exp.Upper: "upper",
    exp.Year: "year",
}
"""What a `.sql` table may call: functions that mean the same on every engine after translation."""

_SYNTAX = (
    *(exp.Select, exp.SetOperation, exp.With, exp.CTE, exp.TableAlias, exp.Table, exp.Subquery, exp.From, exp.Join),
    *(exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Window, exp.WindowSpec, exp.Filter),
    *(exp.Distinct, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Boolean, exp.Null, exp.Paren),
    *(exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between, exp.Like, exp.And, exp.Or, exp.Not, exp.Exists),
    *(exp.DPipe, exp.DataType, exp.DataTypeParam, exp.Placeholder, exp.Var, exp.Tuple),
)
_CAST_TARGETS = frozenset({"TEXT", "VARCHAR", "INT", "BIGINT", "DOUBLE", "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMPTZ"})
_TEMPORAL = ("DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME")
_TRUNCATIONS = ("MONTH", "QUARTER", "YEAR")


def to_ibis(
    backend: SQLBackend, function: TableFunction, tables: Mapping[str, ibis.Table], settings: Mapping[str, Any]
) -> ibis.Table:
    """The table as an expression of `backend`: every input is put in as a subquery, every `$setting` as a literal."""
    dialect = backend.dialect
    query = bound(function, settings)
    for table in list(query.find_all(exp.Table)):
        if table.name in tables:
            text = str(backend.compile(tables[table.name]))
            source = cast("exp.Query", sqlglot.parse_one(text, dialect=dialect))
            table.replace(source.subquery(table.alias_or_name))
    return backend.sql(query.sql(dialect=dialect))


def bound(function: TableFunction, settings: Mapping[str, Any]) -> exp.Query:
    """The statement with its settings written as literals."""
    query = parse(function.sql or "")
    for placeholder in list(query.find_all(exp.Placeholder)):
        placeholder.replace(exp.convert(settings[placeholder.name]))
    return query


def qualified(query: exp.Query, schemas: Mapping[str, Mapping[str, str]]) -> exp.Query:
    """The statement with every column traced to its source and every expression typed; `schemas`: DuckDB types."""
    schema: dict[str, object] = {table: dict(columns) for table, columns in schemas.items()}
    full = qualify(
        query.copy(), schema=schema, dialect="duckdb", quote_identifiers=False, validate_qualify_columns=False
    )
    return annotate_types(full, schema=schema, dialect="duckdb")


def form_problems(query: exp.Query) -> list[str]:
    """One line per piece of syntax or function that is not admitted, and what cannot be translated at all."""
    found = [line for node in query.walk() for line in _form_problems(node)]
    if not found:
        try:
            query.sql(dialect="spark", unsupported_level=ErrorLevel.RAISE)
        except UnsupportedError as error:
            found.append(f"cannot be translated to Spark: {error}; write it otherwise")
    return list(dict.fromkeys(found))


def type_problems(typed: exp.Query) -> list[str]:
    """One line per expression that engines compute differently for the types it is given; `typed`: see `qualified`."""
    found = [line for node in typed.walk() for test in _TYPE_TESTS.get(type(node), ()) for line in test(node)]
    return list(dict.fromkeys(found))


def _text(node: exp.Expr) -> str:
    return node.sql(dialect="duckdb")


def _form_problems(node: exp.Expr) -> Iterator[str]:
    """What the shape of one node alone shows."""
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in MACRO_NAMES:
            yield f"{_text(node)}: function {node.name.lower()} is not admitted; use one of docs/idioms.md"
    elif type(node) not in FUNCTIONS and not isinstance(node, _SYNTAX):
        name = node.sql_name().lower() if isinstance(node, exp.Func) else type(node).__name__
        yield f"{_text(node)}: {name} is not admitted; use what docs/idioms.md lists"
    for test in _FORM_TESTS.get(type(node), ()):
        yield from test(node)


def _join(node: exp.Join) -> Iterator[str]:
    if node.method or node.kind not in ("", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"):
        yield f"{_text(node)}: Spark has no such join; join on a range (`valid_from <= day AND day < valid_to`)"
    if node.kind in ("SEMI", "ANTI") and node.args.get("using"):
        yield f"{_text(node)}: columns cannot be traced through it; write ON instead of USING"


def _with(node: exp.With) -> Iterator[str]:
    if node.recursive:
        yield "WITH RECURSIVE: Spark has none; write the steps out"


def _limit(node: exp.Limit) -> Iterator[str]:
    if not (node.parent and node.parent.args.get("order")):
        yield f"{_text(node).strip()}: which rows is up to the engine; ORDER BY a unique key before it"


def _star(node: exp.Star) -> Iterator[str]:
    if node.args.get("except_") or node.args.get("replace") or node.args.get("rename"):
        yield f"{_text(node)}: Spark writes it otherwise; list the columns"


def _distinct(node: exp.Distinct) -> Iterator[str]:
    if node.args.get("on"):
        yield "DISTINCT ON: which row is up to the engine; filter on row_number() over a unique order"


def _date_diff(node: exp.DateDiff) -> Iterator[str]:
    if node.unit is None or node.unit.name.upper() != "DAY":
        yield f"{_text(node)}: only 'day' counts alike on every engine; subtract years and months as numbers"


def _date_trunc(node: exp.Expr) -> Iterator[str]:
    unit = node.args.get("unit")
    if unit is None or unit.name.upper() not in _TRUNCATIONS:
        yield f"{_text(node)}: truncate to month, quarter or year"


def _regexp_replace(node: exp.RegexpReplace) -> Iterator[str]:
    modifiers = node.args.get("modifiers")
    if modifiers is None or modifiers.name != "g":
        yield f"{_text(node)}: DuckDB replaces the first match, Spark all; give 'g' as fourth argument"


def _substring(node: exp.Substring) -> Iterator[str]:
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and start.name.isdigit() and int(start.name) > 0):
        yield f"{_text(node)}: engines differ before the first character; start at a number from 1"


def _trim(node: exp.Trim) -> Iterator[str]:
    if node.expression or node.args.get("position"):
        yield f"{_text(node)}: engines differ in what they trim; trim(text) removes spaces at both ends"


def _divide(node: exp.Div) -> Iterator[str]:
    sides = [side.unnest() for side in (node.left, node.right)]
    if not any(isinstance(side, exp.Cast) and side.to.this.name == "DOUBLE" for side in sides):
        yield f"{_text(node)}: quotients of decimals differ; cast one side to DOUBLE, or divide in an Ibis table"


def _type_name(node: exp.Expr | None) -> str:
    """The annotated type of an expression, as sqlglot calls it; rounding functions keep the type of what they round."""
    if node is None:
        return "UNKNOWN"
    node = node.unnest()
    if isinstance(node, exp.Floor | exp.Ceil | exp.Round):
        return _type_name(node.this)
    return node.type.this.name if node.type is not None else "UNKNOWN"


def _cast(node: exp.Cast) -> Iterator[str]:
    target, inner = node.to.this.name, node.this.unnest()
    source = _type_name(inner)
    is_whole = isinstance(inner, exp.Floor | exp.Ceil | exp.Round) and not inner.args.get("decimals")
    if target not in _CAST_TARGETS:
        yield f"{_text(node)}: no contract can have {node.to.sql(dialect='duckdb')}; take a type of docs/contracts.md"
    if target in ("INT", "BIGINT") and source in ("DOUBLE", "FLOAT", "DECIMAL", "UNKNOWN") and not is_whole:
        yield f"{_text(node)}: DuckDB rounds, Spark truncates; write floor() or round() inside the cast"
    if target in ("TEXT", "VARCHAR") and source in ("DOUBLE", "FLOAT", "TIMESTAMP", "TIMESTAMPTZ", "TIME"):
        yield f"{_text(node)}: engines write {source} differently; cast to an integer, decimal or date first"


def _plus_minus(node: exp.Binary) -> Iterator[str]:
    if any(_type_name(side) in _TEMPORAL for side in (node.left, node.right)):
        yield f"{_text(node)}: engines give different types; use date_diff('day', a, b), or an Ibis table"


def _total(node: exp.AggFunc) -> Iterator[str]:
    refused = ("DOUBLE", "FLOAT", "DECIMAL") if isinstance(node, exp.Avg) else ("DOUBLE", "FLOAT")
    if _type_name(node.this) in refused:
        yield f"{_text(node)}: not the same on every engine and run; sum decimals or integers and divide the totals"


def _round(node: exp.Round) -> Iterator[str]:
    if node.args.get("decimals") and _type_name(node.this) in ("DOUBLE", "FLOAT"):
        yield f"{_text(node)}: ties fall differently; cast to a decimal"


_Test = Callable[[Any], Iterator[str]]
_FORM_TESTS: Mapping[type[exp.Expr], tuple[_Test, ...]] = {
    exp.Join: (_join,),
    exp.With: (_with,),
    exp.Limit: (_limit,),
    exp.Star: (_star,),
    exp.Distinct: (_distinct,),
    exp.DateDiff: (_date_diff,),
    exp.DateTrunc: (_date_trunc,),
    exp.TimestampTrunc: (_date_trunc,),
    exp.RegexpReplace: (_regexp_replace,),
    exp.Substring: (_substring,),
    exp.Trim: (_trim,),
    exp.Div: (_divide,),
}
_TYPE_TESTS: Mapping[type[exp.Expr], tuple[_Test, ...]] = {
    exp.Cast: (_cast,),
    exp.Add: (_plus_minus,),
    exp.Sub: (_plus_minus,),
    exp.Sum: (_total,),
    exp.Avg: (_total,),
    exp.Round: (_round,),
}
