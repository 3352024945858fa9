"""What may be asked: exactly one statement that reads. What it mentions decides which tables are opened for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dataplatform.errors import PermanentError

if TYPE_CHECKING:
    import duckdb

_IDENTIFIER = re.compile(r"\w+")
# Plain words alone, no comments or strings: what is left must be read by DuckDB exactly as it is read here.
_EXPLAIN = re.compile(r"\s*explain\b(\s+analyze\b)?(\s*\(\s*(analyze|format)\b[\w\s,]*\))?", re.IGNORECASE)
_CATALOG_WORDS = frozenset({"show", "information_schema", "pg_catalog", "sqlite_master", "query", "query_table"})
_ONE = "one SELECT, EXPLAIN, DESCRIBE, SHOW or SUMMARIZE statement"


class QueryError(PermanentError):
    """A query that cannot be answered, in one line: refused, not SQL, or failed on its data."""

    exit_code = 2


def check_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """`sql` without what follows its one statement. Raises QueryError unless that statement only reads."""
    statements = _extract(connection, sql)
    if not statements:
        raise QueryError(f"nothing was asked; write {_ONE}")
    if len(statements) > 1:
        reason = "a PIVOT must list its values: PIVOT … ON column IN ('a', 'b'); otherwise it creates a type"
        reason = reason if not any(statement.query for statement in statements) else f"write {_ONE}, not several"
        raise QueryError(f"{len(statements)} statements were given; {reason}")
    kind = statements[0].type.name
    if kind == "EXPLAIN":
        # EXPLAIN ANALYZE runs what it explains, a COPY to a file too: the explained statement must be a SELECT itself
        inner = _extract(connection, _EXPLAIN.sub("", statements[0].query, count=1))
        kind = inner[0].type.name if len(inner) == 1 else kind
        if kind == "EXPLAIN":
            raise QueryError("EXPLAIN must stand first, without comments around it, before one SELECT")
    if kind != "SELECT":
        raise QueryError(f"{kind.replace('_', ' ')} is refused: queries only read; write {_ONE}")
    return statements[0].query


def _extract(connection: duckdb.DuckDBPyConnection, sql: str) -> list[duckdb.Statement]:
    import duckdb

    try:
        return connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(f"not SQL that DuckDB reads: {first_line(error)}") from None


def mentions(sql: str) -> frozenset[str]:
    """Every word of the statement, in lower case: more than the tables it reads, and never less."""
    return frozenset(word.lower() for word in _IDENTIFIER.findall(sql))


def asks_for_the_catalog(words: frozenset[str]) -> bool:
    """Whether the statement may look at tables that it does not name."""
    return bool(words & _CATALOG_WORDS) or any(word.startswith("duckdb_") for word in words)


def first_line(error: Exception) -> str:
    """DuckDB's message without its kind, its hints and the picture of the place."""
    line = str(error).strip().split("\n", 1)[0]
    return re.sub(r"^[\w ]+ Error: ", "", line)
