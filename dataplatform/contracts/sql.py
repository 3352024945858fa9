"""Reading a `.sql` table: its one statement, the tables it reads and the settings it names.

What the statement may say, and how it runs on an engine, is `engines/sql_tables.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from dataplatform.errors import ContractError


@dataclass(frozen=True)
class SqlText:
    """One readable statement (DuckDB dialect). `tables` are the names it reads, `settings` its `$name` parameters."""

    query: exp.Query
    tables: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def normal_form(self) -> str:
        """The statement without comments, in one formatting."""
        return self.query.sql(dialect="duckdb", comments=False)


def parse(text: str) -> exp.Query:
    """The statement of a `.sql` table that was read before: no checks."""
    return cast("exp.Query", sqlglot.parse_one(text, dialect="duckdb"))


def read_sql(path: Path, catalog: Collection[str]) -> SqlText:
    """Reads the file. Raises ContractError: not SQL, not one SELECT, or a CTE with the name of a table of `catalog`."""
    query = _only_query(path)
    problems = [
        f"{path}: CTE {cte.alias!r} has the name of a table; rename the CTE, so that a reader knows which one is meant"
        for cte in query.find_all(exp.CTE)
        if cte.alias in catalog
    ]
    tables: dict[str, None] = {}
    for scope in traverse_scope(query):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                problems += [f"{path}: {problem}" for problem in _table_problems(source)]
                tables[source.name] = None
    if problems:
        raise ContractError(problems)
    settings = dict.fromkeys(each.name for each in query.find_all(exp.Placeholder))
    return SqlText(query, tuple(tables), tuple(settings))


def _only_query(path: Path) -> exp.Query:
    try:
        statements = [each for each in sqlglot.parse(path.read_text(encoding="utf-8"), dialect="duckdb") if each]
    except sqlglot.ParseError as error:
        first = error.errors[0]
        place = f"line {first.get('line')}, column {first.get('col')}"
        raise ContractError(
            [f"{path}: {place}: not readable as SQL: {first.get('description')}; correct the statement"]
        ) from error
    if len(statements) == 1 and isinstance(statements[0], exp.Query):
        return statements[0]
    kinds = ", ".join(type(each).__name__.upper() for each in statements) or "nothing"
    raise ContractError([f"{path}: must be one SELECT (with CTEs if need be), holds {kinds}; write one SELECT"])


def _table_problems(table: exp.Table) -> list[str]:
    if not isinstance(table.this, exp.Identifier):
        return [f"{table.sql(dialect='duckdb')} is a function, not a table; read inputs of the contract only"]
    if table.db or table.catalog:
        return [f"{table.sql(dialect='duckdb')} names a layer; write {table.name}, as the contract's input is called"]
    return []
