"""The text of a new table: a contract that says everything a contract must say, and a function that keeps it.

What stands in it (which input, which columns) is chosen in `scaffold.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataplatform.contracts.model import Column, Contract, Grain, Layer

Kind = Literal["ibis", "sql", "pandas"]
COUNT = "row_count"
_TO_BE_WRITTEN = "To be written: what a row of {} is, and what is left out."


@dataclass(frozen=True)
class Sketch:
    """A table to be: its columns (with `keys` as primary key), what it is made from, and how.

    A raw table has a landing `folder` and no `example`. Rows of the example are counted by `group` (its column, and
    what that is called here), or are the distinct values of `member` with a key each, or are taken over one by one.
    """

    layer: Layer
    name: str
    owner: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    grain: Grain
    partition_column: str | None
    example: Contract | None = None
    group: tuple[str, str] | None = None
    member: Column | None = None
    folder: str = ""
    header: tuple[str, ...] = ()

    @property
    def input(self) -> str:
        """The name of the table that is read; of a raw table its folder."""
        return self.example.name if self.example is not None else self.folder

    @property
    def counts_months(self) -> bool:
        return self.group is not None and self.grain is Grain.MONTH


def contract_text(sketch: Sketch) -> str:
    """The ODCS file."""
    purpose = _quoted(f"To be written: what {sketch.name} is for, in one sentence.")
    grain = f"one row per {' and '.join(sketch.keys) or f'row of {sketch.input}'}"
    return "\n".join(
        [
            "apiVersion: v3.1.0",
            "kind: DataContract",
            f"id: {sketch.layer}.{sketch.name}",
            f"name: {sketch.name}",
            "version: 1.0.0",
            "status: draft",
            f"description: {{purpose: {purpose}}}",
            f"team: {{name: owners, members: [{{username: {_quoted(sketch.owner)}, role: owner}}]}}",
            "schema:",
            f"  - name: {sketch.name}",
            "    physicalType: table",
            "    logicalType: object",
            f"    dataGranularityDescription: {_quoted(grain)}",
            "    properties:",
            *(_property(sketch, column) for column in sketch.columns),
            "customProperties:",
            *(f"  - {{property: {name}, value: {value}}}" for name, value in _custom(sketch)),
            "",
        ]
    )


def _property(sketch: Sketch, column: Column) -> str:
    words = {"name": column.name, "logicalType": column.type.logical, "physicalType": f'"{column.type}"'}
    if column.required or column.name in sketch.keys:
        words["required"] = "true"
    if column.name in sketch.keys:
        words |= {"primaryKey": "true", "primaryKeyPosition": str(sketch.keys.index(column.name) + 1)}
    if column.name == sketch.partition_column:
        words |= {"partitioned": "true", "partitionKeyPosition": "1"}
    if column.classification:
        words["classification"] = column.classification
    if column.unit:
        words["customProperties"] = f"[{{property: unit, value: {_quoted(column.unit)}}}]"
    if column.name == COUNT:
        words["logicalTypeOptions"] = "{minimum: 1}"
    words["description"] = _quoted(column.description)
    return "      - {" + ", ".join(f"{key}: {value}" for key, value in words.items()) + "}"


def _custom(sketch: Sketch) -> Iterator[tuple[str, str]]:
    if sketch.example is not None:
        same = sketch.grain is not Grain.NONE and sketch.example.is_partitioned
        yield "inputs", f"[{{table: {sketch.example.name}, window: {'same' if same else 'all'}}}]"
    else:
        columns = ", ".join(f"{name}: {name}" for name in sketch.header)
        yield "source", f"{{kind: landing, folder: {sketch.folder}, columns: {{{columns}}}}}"
    if sketch.grain is not Grain.NONE:
        yield "partitioning", sketch.grain.value
    if sketch.member is not None:
        yield "dimension", f"{{id: {sketch.member.name}, key: {sketch.keys[0]}}}"


def function_text(sketch: Sketch, kind: Kind) -> str:
    """The function's file: Python, or DuckDB's SQL."""
    told = _TO_BE_WRITTEN.format(sketch.name)
    if kind == "sql":
        return f"-- {told}\n{_sql(sketch)}"
    module, table = ("pandas as pd", "pd.DataFrame") if kind == "pandas" else ("ibis", "ibis.Table")
    imports = f"import {module}\n"
    if sketch.member is not None:
        imports += "\nfrom dataplatform.tables._keys import surrogate_key, unknown_member\n"
    signature = f"def {sketch.name}({sketch.input}: {table}) -> {table}:"
    body = "\n".join(f"    {line}" for line in (_pandas(sketch) if kind == "pandas" else _ibis(sketch)))
    return f'"""{told}"""\n\nfrom __future__ import annotations\n\n{imports}\n\n{signature}\n{body}\n'


def _ibis(sketch: Sketch) -> Iterator[str]:
    rows = sketch.input
    if sketch.member is not None:
        name, key = sketch.member.name, sketch.keys[0]
        unknown = f"ibis.null({_quoted(str(sketch.member.type.ibis))})"
        yield f"members = {rows}.filter({rows}.{name}.notnull()).select({_quoted(name)}).distinct()"
        yield f"known = members.select(surrogate_key(members.{name}).name({_quoted(key)}), {_quoted(name)})"
        yield f"return known.union(unknown_member({_quoted(key)}, {name}={unknown}))"
    elif sketch.group is None:
        yield f"return {rows}.select({_names(sketch)})"
    elif sketch.counts_months:
        yield f'month = {rows}.{sketch.group[0]}.truncate("M")'
        yield f"return {rows}.group_by({sketch.group[1]}=month).aggregate({COUNT}={rows}.count())"
    else:
        yield f"return {rows}.group_by({_quoted(sketch.group[0])}).aggregate({COUNT}={rows}.count())"


def _pandas(sketch: Sketch) -> Iterator[str]:
    rows = sketch.input
    if sketch.group is None:
        yield f"return {rows}[[{_names(sketch)}]]"
        return
    by = _quoted(sketch.group[0])
    if sketch.counts_months:
        first_days = f'{rows}[{by}].dt.to_period("M").dt.to_timestamp()'
        yield f"month = {first_days}.rename({_quoted(sketch.group[1])})"
        by = "month"
    yield f'return {rows}.groupby({by}).size().reset_index(name="{COUNT}")'


def _sql(sketch: Sketch) -> str:
    if sketch.group is None:
        selected = ",\n".join(f"    {column.name}" for column in sketch.columns)
        return f"SELECT\n{selected}\nFROM {sketch.input}\n"
    source, name = sketch.group
    by = f"CAST(date_trunc('month', {source}) AS DATE)" if sketch.counts_months else source
    named = by if by == name else f"{by} AS {name}"
    return f"SELECT\n    {named},\n    count(*) AS {COUNT}\nFROM {sketch.input}\nGROUP BY {by}\n"


def _names(sketch: Sketch) -> str:
    return ", ".join(_quoted(column.name) for column in sketch.columns)


def _quoted(text: str) -> str:
    """A text as both YAML and Python read it."""
    return json.dumps(text, ensure_ascii=False)
