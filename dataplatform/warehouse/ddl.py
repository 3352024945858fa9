"""A contract as a warehouse table: types, NOT NULL, primary key, and comments that people read in any SQL tool."""

from __future__ import annotations

import hashlib

from dataplatform.contracts.model import Column, Contract, Severity
from dataplatform.engines.duckdb import quote


def create_sql(contract: Contract, *, enforced: bool = True) -> list[str]:
    """The statements that make the table, empty, in place of the one there may be; its constraints can be left out."""
    table = qualified(contract)
    present = _never_null(contract) if enforced else frozenset()
    lines = [f"{quote(c.name)} {c.type.duckdb}{' NOT NULL' if c.name in present else ''}" for c in contract.columns]
    if _keyed(contract, present):
        lines.append(f"PRIMARY KEY ({', '.join(map(quote, contract.primary_key))})")
    return [
        f"CREATE SCHEMA IF NOT EXISTS {quote(contract.layer.value)}",
        f"CREATE OR REPLACE TABLE {table} ({', '.join(lines)})",
        f"COMMENT ON TABLE {table} IS {_text(_describe_table(contract))}",
        *(
            f"COMMENT ON COLUMN {table}.{quote(column.name)} IS {_text(_describe_column(column))}"
            for column in contract.columns
        ),
    ]


def definition(contract: Contract) -> str:
    """A fingerprint of all that `create_sql` writes: when it changes, the table is another one."""
    return hashlib.sha256("\n".join(create_sql(contract)).encode()).hexdigest()[:16]


def qualified(contract: Contract) -> str:
    """The table's name in SQL, quoted."""
    return f"{quote(contract.layer.value)}.{quote(contract.name)}"


def _never_null(contract: Contract) -> frozenset[str]:
    """Columns whose `required` is an error: where it only warns, rows without a value were published."""
    return frozenset(
        rule.columns[0] for rule in contract.rules if rule.test == "required" and rule.severity is Severity.ERROR
    )


def _keyed(contract: Contract, present: frozenset[str]) -> bool:
    """Whether the key becomes a constraint: only of tables that are replaced whole, where its index costs little.

    On a fact the index would outweigh the data, and hinder DuckDB in reclaiming replaced days; there the lake's own
    rule has proven the key before anything was published.
    """
    proven = any(rule.name == "primary_key" and rule.severity is Severity.ERROR for rule in contract.rules)
    return proven and not contract.is_partitioned and bool(contract.primary_key) and present >= {*contract.primary_key}


def _describe_table(contract: Contract) -> str:
    parts = [contract.description, f"Grain: {contract.grain_text}" if contract.grain_text else ""]
    return ". ".join(part.strip().rstrip(".") for part in parts if part) + f". Contract version {contract.version}."


def _describe_column(column: Column) -> str:
    notes = [f"Unit: {column.unit}." if column.unit else ""]
    notes.append(f"Classification: {column.classification}." if column.classification else "")
    return " ".join(part for part in (column.description, *notes) if part)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
