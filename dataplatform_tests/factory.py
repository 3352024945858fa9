"""Throw-away table sets: a few lines of a test write contracts and functions to a temporary folder.

```python
tables = TableFactory(tmp_path)
tables.add("raw", "raw_shop_orders", {"order_id": "VARCHAR", "day": "DATE partitioned"}, partitioning="day")
tables.add("cleaned", "orders", {"order_id": "BIGINT key"}, inputs=["raw_shop_orders"], function="def orders(…): …")
catalog = tables.catalog()
```
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dataplatform.contracts.catalog import Catalog, load_catalog
from dataplatform.contracts.model import Contract
from dataplatform.contracts.reader import read_contract
from dataplatform.contracts.types import ColumnType

ColumnText = str | tuple[str, Mapping[str, Any]]


class TableFactory:
    """Writes `<folder>/tables/<layer>/<table>.yaml` and its function, with everything a contract must say.

    Columns are texts: a type followed by any of the words key, required, unique, partitioned and private. A column
    that needs more is a pair of that text and further keys of the standard, such as `{"enum": [{"value": "a"}]}`.
    """

    def __init__(self, folder: Path) -> None:
        self.tables_dir = folder / "tables"
        self._partitioned: dict[str, bool] = {}

    def add(
        self,
        layer: str,
        name: str,
        columns: Mapping[str, ColumnText],
        *,
        inputs: Sequence[str | Mapping[str, Any]] = (),
        partitioning: str | None = None,
        function: str | None = None,
        sql: str | None = None,
        quality: Sequence[Mapping[str, Any]] = (),
        custom: Mapping[str, Any] | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> Path:
        """Writes one table and gives the path of its contract.

        An input may be a table's name: it is then read at `same`, or whole when either side has no partitions.
        Without `function` and `sql` the table is its first input; a raw table gets a landing source. `custom` adds
        or replaces custom properties, `document` keys at the root of the file.
        """
        self._partitioned[name] = partitioning is not None
        extra: dict[str, Any] = {"source": {"kind": "landing", "folder": name}} if layer == "raw" else {}
        if inputs:
            extra["inputs"] = [self._input(each, partitioning) for each in inputs]
        if partitioning:
            extra["partitioning"] = partitioning
        extra |= custom or {}
        contract = _document(layer, name, columns, quality) | {
            "customProperties": [{"property": key, "value": value} for key, value in extra.items()]
        }
        path = self.tables_dir / layer / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(contract | dict(document or {}), sort_keys=False), encoding="utf-8")
        if sql is not None:
            path.with_suffix(".sql").write_text(textwrap.dedent(sql), encoding="utf-8")
        elif layer != "raw":
            code = function or _first_input(name, extra.get("inputs", []))
            path.with_suffix(".py").write_text(f"import ibis\n\n\n{textwrap.dedent(code).strip()}\n", encoding="utf-8")
        return path

    def catalog(self) -> Catalog:
        return load_catalog(self.tables_dir)

    def contract(self, name: str) -> Contract:
        """The contract of one table, read by itself."""
        (path,) = self.tables_dir.glob(f"*/{name}.yaml")
        return read_contract(path)

    def _input(self, given: str | Mapping[str, Any], partitioning: str | None) -> dict[str, Any]:
        if not isinstance(given, str):
            return dict(given)
        whole = partitioning is None or not self._partitioned.get(given, True)
        return {"table": given, "window": "all" if whole else "same"}


def _document(
    layer: str, name: str, columns: Mapping[str, ColumnText], quality: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"{layer}.{name}",
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": f"The {name} of a test."},
        "team": {"name": "tests", "members": [{"username": "tests@example.com", "role": "owner"}]},
        "schema": [
            {
                "name": name,
                "logicalType": "object",
                "physicalType": "table",
                "dataGranularityDescription": "one row per row",
                "properties": _properties(columns),
                "quality": [dict(each) for each in quality],
            }
        ],
    }


def _properties(columns: Mapping[str, ColumnText]) -> list[dict[str, Any]]:
    properties = []
    keys = 0
    for name, given in columns.items():
        text, more = (given, {}) if isinstance(given, str) else given
        type_name, *words = text.split()
        keys += "key" in words
        properties.append(_property(name, ColumnType.parse(type_name), words, keys) | dict(more))
    return properties


def _property(name: str, column_type: ColumnType, words: Sequence[str], position: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "logicalType": column_type.logical,
        "physicalType": column_type.name,
        "description": f"The {name}.",
    }
    if {"key", "required", "partitioned"}.intersection(words):
        found["required"] = True
    if "key" in words:
        found |= {"primaryKey": True, "primaryKeyPosition": position}
    if "partitioned" in words:
        found |= {"partitioned": True, "partitionKeyPosition": 1}
    if "unique" in words:
        found["unique"] = True
    if "private" in words:
        found["classification"] = "confidential"
    if name.endswith(("amount", "price")) and column_type.logical == "number":
        found["customProperties"] = [{"property": "unit", "value": "GBP"}]
    return found


def _first_input(name: str, inputs: Sequence[Mapping[str, Any]]) -> str:
    parameters = [each.get("parameter", each["table"]) for each in inputs]
    return f"def {name}({', '.join(parameters)}):\n    return {parameters[0] if parameters else None}"
