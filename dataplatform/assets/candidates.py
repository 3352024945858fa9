"""Candidates: the rows a table's function (or source) makes for some partitions, before they are judged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.functions import SLICE_DAY
from dataplatform.contracts.model import Contract, Rule, RuleKind, Severity
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.duckdb import names_must_equal
from dataplatform.engines.frames import from_frame, to_frame
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.errors import ShapeError
from dataplatform.planner.windows import partitions_read, required, revisions_read
from dataplatform.quality.results import RuleResult

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.records import InputRevisions
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project
    from dataplatform.sources.base import Delivery

READABLE = Rule("delivery:readable", RuleKind.DELIVERY, "delivery", description="the delivered file can be read")
AS_AGREED = Rule(
    "delivery:as_agreed",
    RuleKind.DELIVERY,
    "delivery",
    severity=Severity.WARNING,
    description="what was delivered is what was agreed",
)


@dataclass
class Candidate:
    """Rows for `partitions`, with what is recorded of their inputs.

    `refused` partitions could not be read; `left` ones are not touched and why; `results` are delivery verdicts.
    """

    rows: ibis.Table | None
    partitions: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, InputRevisions]] = field(default_factory=dict)
    """partition -> parameter -> revisions read."""
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    input_rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """input table -> partition of the slice -> rows read, for `rowPreserving`."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """partition -> rows that stay out whatever is judged here, counted as quarantined."""
    refused: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    results: Sequence[RuleResult] = ()


def from_function(project: Project, session: DuckDBSession, contract: Contract, partitions: Sequence[str]) -> Candidate:
    """Opens the inputs of `partitions`, each at its newest version, and calls the table's function on them.

    Partitions whose own input was never published are left out, with the reason.
    """
    tables: list[ibis.Table] = []
    opened = {wanted.table: project.lake.table(project.catalog.get(wanted.table)).open() for wanted in contract.inputs}
    windows = {
        partition: {
            wanted.parameter: partitions_read(
                contract, wanted, upstream := project.catalog.get(wanted.table), partition, project.keys(upstream)
            )
            for wanted in contract.inputs
        }
        for partition in partitions
    }
    left = {}
    for partition in partitions:
        for wanted in contract.inputs:
            read = windows[partition][wanted.parameter]
            there = {p for p in read if p in opened[wanted.table].state.slices}
            nothing = wanted.window.kind in ("same", "all") and read and not there
            if nothing or not required(wanted, partition, read) <= there:
                left[partition] = f"{wanted.table} is not published for it"
    made = tuple(p for p in partitions if p not in left)
    if not made:
        return Candidate(None, (), left=left)
    for wanted in contract.inputs:
        source = opened[wanted.table]
        wide = {p for partition in made for p in windows[partition][wanted.parameter]}
        whole = not source.table.contract.is_partitioned or wide >= set(source.state.slices)
        tables.append(session.open(source, None if whole else sorted(wide), wanted.columns))
    inputs = {
        partition: {
            wanted.parameter: revisions_read(
                wanted, windows[partition][wanted.parameter], opened[wanted.table].state.revisions
            )
            for wanted in contract.inputs
        }
        for partition in made
    }
    rows = _call(project, session, contract, tables, made)
    return Candidate(rows, made, inputs, input_rows=rows_read(project, contract, made), left=left)


def rows_read(project: Project, contract: Contract, partitions: Sequence[str]) -> dict[str, dict[str, int]]:
    """Of each input that the contract says it keeps every row of: how many rows each partition reads of it now."""
    found: dict[str, dict[str, int]] = {}
    for wanted in contract.inputs:
        if wanted.parameter in contract.row_preserving:
            upstream = project.catalog.get(wanted.table)
            slices, keys = project.lake.table(upstream).open().state.slices, project.keys(upstream)
            found[wanted.parameter] = {
                partition: sum(
                    slices[p].rows for p in partitions_read(contract, wanted, upstream, partition, keys) if p in slices
                )
                for partition in partitions
            }
    return found


def _call(
    project: Project,
    session: DuckDBSession,
    contract: Contract,
    tables: Sequence[ibis.Table],
    partitions: Sequence[str],
) -> ibis.Table:
    function = project.functions[contract.name]
    settings: dict[str, Any] = project.settings_of(contract)
    if SLICE_DAY in function.settings:
        settings[SLICE_DAY] = date.fromisoformat(partitions[0])
    if function.call is None:
        from dataplatform.engines.sql_tables import to_ibis

        named = {wanted.parameter: table for wanted, table in zip(contract.inputs, tables, strict=True)}
        return to_ibis(session.backend, function, named, settings)
    named_tables = {wanted.parameter: table for wanted, table in zip(contract.inputs, tables, strict=True)}
    ordered = [named_tables[name] for name in function.parameters]
    if function.kind == "pandas":
        compiled = [session.connection.sql(str(session.backend.compile(table))) for table in ordered]
        frames = [to_frame(relation.to_arrow_table()) for relation in compiled]
        return session.from_arrow(to_arrow(function.call(*frames, **settings), contract))
    rows: ibis.Table = function.call(*ordered, **settings)
    return rows


def to_arrow(data: object, contract: Contract) -> pa.Table:
    """A pandas frame in the contract's columns and types, exactly, or an Arrow table as it is."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if not isinstance(data, pd.DataFrame):
        raise ShapeError(
            f"{contract.full_name}: {type(data).__name__} is no table; "
            "return an ibis.Table, a pandas.DataFrame or a pyarrow.Table"
        )
    names_must_equal([str(name) for name in data.columns], contract)
    return from_frame(data, contract)


def from_source(
    project: Project, session: DuckDBSession, contract: Contract, partitions: Sequence[str], target: Opened
) -> Candidate:
    """Reads what was delivered for `partitions`. Nothing that is missing erases anything.

    Rows that are published and whose record was lost are published as they are when nothing is delivered for them.
    """
    import pyarrow as pa

    source = project.source(contract)
    tables: list[pa.Table] = []
    refused: dict[str, str] = {}
    left: dict[str, str] = {}
    sources: dict[str, Mapping[str, str]] = {}
    results: list[RuleResult] = []
    for partition in partitions:
        delivery = source.deliver(partition)
        results += _delivery_results(delivery)
        kept = target.state.slices.get(partition)
        is_nothing = delivery.table is None or not delivery.table.num_rows
        found = _rows(session, target, partition) if is_nothing and kept is None else None
        if delivery.status == "refused":
            refused[partition] = delivery.reason
        elif found is not None and found.num_rows:
            tables.append(found)
            sources[partition] = {}
        elif delivery.table is None:
            left[partition] = delivery.reason or f"no file was delivered for {partition}"
        elif is_nothing and kept is not None and kept.rows:
            left[partition] = (
                f"nothing was delivered, {kept.rows} published rows stay; empty it with `dataplatform delete-partition`"
            )
        else:
            tables.append(_with_rejected(delivery, delivery.table, contract))
            sources[partition] = {"fingerprint": delivery.fingerprint, "signature": delivery.signature}
    rows = session.from_arrow(pa.concat_tables(tables, promote_options="permissive")) if tables else None
    return Candidate(rows, tuple(sources), sources=sources, refused=refused, left=left, results=results)


def _rows(session: DuckDBSession, target: Opened, partition: str) -> pa.Table:
    """The rows that a partition holds, recorded or not."""
    contract = target.table.contract
    rows = session.open(target, [partition] if contract.is_partitioned else None)
    found = session.connection.sql(str(session.backend.compile(rows))).to_arrow_table()
    return found.cast(arrow_schema(contract))


def _delivery_results(delivery: Delivery) -> list[RuleResult]:
    refused = delivery.status == "refused"
    rows = 0 if delivery.table is None else delivery.table.num_rows
    found = delivery.reason if refused else delivery.status
    warnings = "; ".join(delivery.warnings)
    return [
        RuleResult(READABLE, delivery.partition, not refused, "a readable file", found, 0, rows),
        RuleResult(AS_AGREED, delivery.partition, not warnings, "no deviation", warnings or "none", 0, rows),
    ]


def _with_rejected(delivery: Delivery, table: pa.Table, contract: Contract) -> pa.Table:
    """The delivered rows, and those that could not be split into columns, with the reason in `_row_errors`."""
    import pyarrow as pa

    if delivery.rejected is None or not delivery.rejected.num_rows:
        return table
    rejected = delivery.rejected.to_pylist()
    rows = [
        {
            str(contract.partition_column): date.fromisoformat(delivery.partition),
            "file_name": row["file_name"],
            "line_number": row["line_number"],
            "extra_columns": json.dumps({"record": row["record_text"]}),
            ROW_ERRORS: [f"unreadable_record:{row['reason']}"],
        }
        for row in rejected
    ]
    schema = arrow_schema(contract).append(pa.field(ROW_ERRORS, pa.list_(pa.string())))
    return pa.concat_tables([table, pa.Table.from_pylist(rows, schema=schema)], promote_options="default")
