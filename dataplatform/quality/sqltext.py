"""The SQL people write in contracts, carried to the engine: row predicates, and queries judged per partition.

The text is DuckDB's dialect; the contract's reader has already refused what is not one condition, or not one
aggregate over `${object}`. Nothing here runs a query.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from dataplatform.contracts.model import Contract, Rule

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import DialectType

OBJECT = "candidate"
"""The name under which a query finds the rows to be published; `${object}` in a contract becomes this."""


def predicate(rule: Rule, dialect: DialectType) -> str:
    """A row rule's condition in the engine's dialect."""
    return _parse(str(rule.arguments["expression"])).sql(dialect=dialect)


def query(rule: Rule, column: str | None, dialect: DialectType) -> str:
    """An SQL rule's query over `candidate`, in the engine's dialect.

    With a partition column it gives one row per partition: the partition, then the value. The query is one aggregate
    over the table alone, so its value in a group is what it would be on a table of that partition's rows.
    """
    select = _aggregate(rule)
    if column is None:
        return select.sql(dialect=dialect)
    from sqlglot import exp

    table = next(select.find_all(exp.Table)).alias_or_name
    key = exp.column(column, table=table, quoted=True)
    grouped = exp.select(key, *select.expressions).from_(select.args["from_"].this)
    if where := select.args.get("where"):
        grouped = grouped.where(where.this)
    return grouped.group_by(key).sql(dialect=dialect)


def shows_private_value(contract: Contract, rule: Rule) -> bool:
    """Whether an SQL rule's value may give away a private column: anything but a count may."""
    from sqlglot import exp

    select = _aggregate(rule)
    private = {name.lower() for name in contract.private_columns}
    named = {column.name.lower() for column in select.find_all(exp.Column)}
    return bool(private & named) and not isinstance(select.expressions[0].unalias(), exp.Count | exp.CountIf)


def _aggregate(rule: Rule) -> exp.Select:
    return cast("exp.Select", _parse(str(rule.arguments["query"]).replace("${object}", OBJECT)))


@lru_cache(maxsize=512)
def _parse(text: str) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(text, dialect="duckdb")
