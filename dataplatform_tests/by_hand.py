"""Contracts built by hand, for tests of rooms that read no files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataplatform.contracts.model import Column, Contract, Grain, Layer
from dataplatform.contracts.types import ColumnType


def contract(name: str = "daily", columns: dict[str, str] | None = None, **changes: Any) -> Contract:
    """A small day-partitioned table `aggregate.daily(business_date, amount, label)`, changed as asked."""
    described = columns or {"business_date": "DATE", "amount": "DECIMAL(18,3)", "label": "VARCHAR"}
    values: dict[str, Any] = {
        "layer": Layer.AGGREGATE,
        "name": name,
        "version": "1.0.0",
        "description": "A table of a test.",
        "grain_text": "one row per day and label",
        "columns": tuple(Column(n, ColumnType.parse(t)) for n, t in described.items()),
        "rules": (),
        "primary_key": (),
        "inputs": (),
        "settings": {},
        "partition_column": "business_date",
        "grain": Grain.DAY,
        "physical": "partitioned",
        "row_preserving": (),
        "quarantine_share": 0.1,
        "rounding": "exact",
        "dimension": None,
        "source": None,
        "owner": "team:tests",
        "sla": {},
        "tags": (),
        "path": Path("daily.yaml"),
    }
    return Contract(**{**values, **changes})
