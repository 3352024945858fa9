"""Candidates: the rows a table's function (or source) makes for some partitions, before they are judged."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from dataplatform.assets.source_schemas import Look, drift_result, drifts, look, recorded
from dataplatform.contracts.functions import SLICE_DAY
from dataplatform.contracts.model import Contract, Input, Rule, RuleKind, Severity
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.duckdb import names_must_equal
from dataplatform.engines.frames import from_frame, to_frame
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.errors import PermanentError, ShapeError, UnfitValueError
from dataplatform.lake.platform_tables import PlatformTables
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

    `refused` partitions hold files that cannot be read; of `unread` ones the storage gave nothing; `left` ones are not
    touched and why; `results` are delivery verdicts.
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
    opened: Mapping[str, Opened] = field(default_factory=dict)
    """The input tables, each at the version that was read."""
    rows_in: int | None = None
    """Rows of the inputs' partitions that were read, or records delivered; None where nobody counts them."""
    refused: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    results: Sequence[RuleResult] = ()
    looks: Sequence[Look] = ()
    """Deliveries that were read and look different from what is recorded of them."""


def from_function(project: Project, session: DuckDBSession, contract: Contract, partitions: Sequence[str]) -> Candidate:
    """Opens the inputs of `partitions`, each at its newest version, and calls the table's function on them.

    Partitions whose own input was never published are left out, with the reason.
    """
    opened = open_inputs(project, contract)
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
    inputs = {
        partition: {
            wanted.parameter: revisions_read(
                wanted, windows[partition][wanted.parameter], opened[wanted.table].state.revisions
            )
            for wanted in contract.inputs
        }
        for partition in made
    }
    reading = _Reading(project, session, contract, opened, windows)
    rows = reading.one_by_one(made) if len(made) > 1 and goes_one_by_one(project, contract) else reading.call(made)
    kept = rows_read(project, contract, made, opened)
    rows_in = sum(
        _rows_of(opened[w.table], {p for m in made for p in windows[m][w.parameter]}) for w in contract.inputs
    )
    return Candidate(rows, made, inputs, input_rows=kept, opened=opened, rows_in=rows_in, left=left)


def _rows_of(opened: Opened, partitions: Collection[str]) -> int:
    slices = opened.state.slices
    return sum(slices[partition].rows for partition in partitions if partition in slices)


def open_inputs(project: Project, contract: Contract) -> dict[str, Opened]:
    """Every input table at its newest version."""
    return {w.table: project.lake.table(project.catalog.get(w.table)).open() for w in contract.inputs}


def goes_one_by_one(project: Project, contract: Contract) -> bool:
    """Whether what a slice reads depends on which it is, so that its function is called for each by itself."""
    function = project.functions.get(contract.name)
    by_slice = function is not None and SLICE_DAY in function.settings
    return by_slice or any(wanted.window.kind in ("before", "previous", "range") for wanted in contract.inputs)


def rows_read(
    project: Project, contract: Contract, partitions: Sequence[str], opened: Mapping[str, Opened]
) -> dict[str, dict[str, int]]:
    """Of each input that the contract says it keeps every row of: how many rows each partition reads of it."""
    found: dict[str, dict[str, int]] = {}
    for wanted in contract.inputs:
        if wanted.parameter in contract.row_preserving:
            upstream = project.catalog.get(wanted.table)
            slices, keys = opened[wanted.table].state.slices, project.keys(upstream)
            found[wanted.parameter] = {
                partition: sum(
                    slices[p].rows for p in partitions_read(contract, wanted, upstream, partition, keys) if p in slices
                )
                for partition in partitions
            }
    return found


@dataclass(frozen=True)
class _Reading:
    """One call of a table's function: the inputs as opened, and which of their partitions each slice reads."""

    project: Project
    session: DuckDBSession
    contract: Contract
    opened: Mapping[str, Opened]
    windows: Mapping[str, Mapping[str, Sequence[str]]]

    def one_by_one(self, partitions: Sequence[str]) -> ibis.Table:
        """The rows of each partition by a call of its own, together. A table that reads itself cannot be made so."""
        if any(wanted.table == self.contract.name for wanted in self.contract.inputs):
            raise PermanentError(
                f"{self.contract.full_name} reads its own earlier partitions, and cannot be made in one piece; "
                f"move {self.project.lake.table(self.contract).folder} away and run `dataplatform run`"
            )
        made = [self.call([partition]) for partition in partitions]
        for partition, rows in zip(partitions, made, strict=True):
            outside = rows.filter(rows[str(self.contract.partition_column)].cast("string") != partition).count()
            found = self.session.connection.execute(str(self.session.backend.compile(outside))).fetchone()
            if found and found[0]:
                raise UnfitValueError(
                    f"{self.contract.full_name} {partition}: rows outside the slice: {found[0]}; "
                    "a function may return rows of its own partition only"
                )
        first, *others = made
        return first.union(*others) if others else first

    def call(self, partitions: Sequence[str]) -> ibis.Table:
        """What the function makes of the inputs of `partitions`, all at once."""
        contract, function = self.contract, self.project.functions[self.contract.name]
        settings: dict[str, Any] = self.project.settings_of(contract)
        if SLICE_DAY in function.settings:
            settings[SLICE_DAY] = date.fromisoformat(partitions[0])
        tables = {wanted.parameter: self._input(wanted, partitions) for wanted in contract.inputs}
        if function.call is None:
            from dataplatform.engines.sql_tables import to_ibis

            return to_ibis(self.session.backend, function, tables, settings)
        ordered = [tables[name] for name in function.parameters]
        if function.kind == "pandas":
            compiled = [self.session.connection.sql(str(self.session.backend.compile(table))) for table in ordered]
            frames = [to_frame(relation.to_arrow_table()) for relation in compiled]
            return self.session.from_arrow(to_arrow(function.call(*frames, **settings), contract))
        rows: ibis.Table = function.call(*ordered, **settings)
        return rows

    def _input(self, wanted: Input, partitions: Sequence[str]) -> ibis.Table:
        source = self.opened[wanted.table]
        wide = {p for partition in partitions for p in self.windows[partition][wanted.parameter]}
        # rows of unknown slices lie in the table too, and may be of any partition
        all_of_it = wide >= set(source.state.slices) and not source.state.unknown
        whole = all_of_it or not source.table.contract.is_partitioned
        return self.session.open(source, None if whole else sorted(wide), wanted.columns)


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

    What was read before the storage failed is kept: the others are `unread`, each by itself. Rows that are published
    and whose record was lost are published as they are when nothing is delivered for them.
    """
    import pyarrow as pa

    source = project.source(contract)
    tables: list[pa.Table] = []
    refused: dict[str, str] = {}
    unread: dict[str, str] = {}
    left: dict[str, str] = {}
    sources: dict[str, Mapping[str, str]] = {}
    results: list[RuleResult] = []
    looks: list[Look] = []
    delivered = 0
    for delivery in source.deliveries(partitions):
        partition = delivery.partition
        if delivery.status == "unread":
            unread[partition] = delivery.reason
            continue
        results += _delivery_results(delivery)
        found_look = look(delivery)
        delivered += found_look.records
        looks += [found_look] if delivery.status == "accepted" else []
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
            sources[partition] = {
                "fingerprint": delivery.fingerprint,
                "signature": delivery.signature,
                "records": str(found_look.records),
            }
    rows = session.from_arrow(pa.concat_tables(tables, promote_options="permissive")) if tables else None
    fresh, told = _as_before(project, contract, looks)
    return Candidate(
        rows, tuple(sources), sources=sources, rows_in=delivered, refused=refused, unread=unread, left=left,
        results=[*results, *told], looks=fresh,
    )  # fmt: skip


def _as_before(project: Project, contract: Contract, looks: Sequence[Look]) -> tuple[list[Look], list[RuleResult]]:
    """The deliveries that were not recorded yet, and the verdicts on what changed at the source."""
    looks = [each for each in looks if each.columns]
    if not looks:
        return [], []
    before = recorded(PlatformTables(project.lake.root), contract, [each.partition for each in looks])
    found = drifts(looks, before)
    fresh = [each for each in looks if before.fingerprints.get(each.partition) != each.fingerprint]
    return fresh, [drift_result(each.partition, found[each.partition], each.records) for each in looks]


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
