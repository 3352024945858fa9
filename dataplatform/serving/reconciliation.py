"""`operations.reconciliation`: what came into each step of the chain, day by day, and what became of it.

A relation and not a written table: it is worked out from the records of publications and the rows that are there, when
it is asked for. So it is right at any moment, also about rows that were changed by nobody's run. A step is a landing
that a raw table reads, or an input of the same day (or of the month's days) whose rows the contract keeps all of
(`rowPreserving`), or whose rows and amounts it reconciles (`reconciles`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Contract, Grain, Input
from dataplatform.engines.duckdb import quote, relation_sql
from dataplatform.lake.attempts import read_attempts
from dataplatform.planner.windows import month_of

if TYPE_CHECKING:
    import duckdb

    from dataplatform.contracts.catalog import Catalog
    from dataplatform.lake.records import Slice
    from dataplatform.lake.table import Lake, Opened

FULL_NAME = "operations.reconciliation"
ROWS = "rows"
"""The measure of steps that keep every row. The others are called as the reader's column."""
_FEWEST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared: an aggregate over the input, and one over the table that reads it."""

    name: str
    taken_in: str
    given_out: str


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain: `contract` reads `upstream` under `parameter`, or its landing where that is None."""

    contract: Contract
    upstream: Contract | None
    parameter: str
    measures: tuple[Measure, ...]

    @property
    def name(self) -> str:
        source = self.contract.source or {}
        return f"{self.upstream.name if self.upstream else source.get('kind')} -> {self.contract.name}"


def steps(catalog: Catalog) -> list[Step]:
    """Every step, in the direction of the data."""
    return [step for contract in catalog if contract.is_partitioned for step in _steps_of(catalog, contract)]


def _steps_of(catalog: Catalog, contract: Contract) -> Iterator[Step]:
    rows = Measure(ROWS, "count(*)", "count(*)")
    if contract.source is not None:
        yield Step(contract, None, "", (rows,))
    for wanted in contract.inputs:
        upstream = catalog.get(wanted.table)
        kept = (rows,) if wanted.parameter in contract.row_preserving else ()
        declared = tuple(
            Measure(each.column, f"sum({each.sum})" if each.sum else "count(*)", f"sum({quote(each.column)})")
            for each in contract.reconciles
            if each.parameter == wanted.parameter
        )
        if (kept or declared) and _is_by_day(contract, wanted, upstream):
            yield Step(contract, upstream, wanted.parameter, kept + declared)


def _is_by_day(contract: Contract, wanted: Input, upstream: Contract) -> bool:
    """Whether a slice's rows are those of its own period."""
    grains = contract.grain is upstream.grain or contract.grain is Grain.MONTH
    return wanted.window.kind == "same" and upstream.is_partitioned and grains


@dataclass(frozen=True, slots=True)
class _Known:
    """One table at one moment: what is published of it, what is not, and what waits for something before it."""

    opened: Opened
    partitions: frozenset[str]
    behind: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Line:
    """One partition of a step. `is_current` says that it was made from the rows its input has now."""

    partition: str
    entry: Slice | None
    has_input: bool
    is_current: bool
    is_behind: bool
    records: int | None = None

    def sql(self) -> str:
        """As a row of VALUES. What was emptied by name owes nothing to what it was made from."""
        counts = self.has_input and not (self.entry and self.entry.is_emptied)
        values = [
            f"'{self.partition}'",
            str(self.entry is not None),
            str(counts),
            str(self.is_current),
            str(self.is_behind),
            "NULL" if self.records is None or not counts else str(self.records),
            "NULL" if self.entry is None else str(self.entry.quarantined),
        ]
        return f"({', '.join(values)})"


def reconciliation_sql(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    lake: Lake,
    only: Mapping[str, Collection[str]] | None = None,
) -> str:
    """A SELECT of everything there is to compare, as it is published now; nothing is read before it is executed.

    `only` names partitions by table: then no files of others are read.
    """
    known: dict[str, _Known] = {}
    amount = f"DECIMAL(38,{_digits(catalog)})"
    selects = [_nothing(amount)]
    chain = steps(catalog)
    for contract in catalog:
        own = [step for step in chain if step.contract is contract]
        if own or any(step.upstream is contract for step in chain):
            lines = _look(known, lake, contract, own)
            wanted = None if only is None else frozenset(only.get(contract.name, ()))
            for number, (step, rows) in enumerate(zip(own, lines, strict=True)):
                if chosen := [line for line in rows if wanted is None or line.partition in wanted]:
                    reading = _Reading(connection, step, known, wanted, f"_dp_{contract.name}_{number}")
                    selects.append(_step_sql(reading, chosen, amount))
    return (
        "SELECT step, layer, table_name, partition, measure, amount_in, amount_out, quarantined, "
        f"CAST(amount_in - amount_out - quarantined AS {amount}) AS difference, is_published, is_behind, "
        "coalesce(is_current AND amount_in - amount_out <> quarantined, false) AS differs "
        f"FROM ({' UNION ALL '.join(selects)})"
    )


def _digits(catalog: Catalog) -> int:
    scales = [c.column(each.column).type.scale or 0 for c in catalog for each in c.reconciles]
    return max([_FEWEST_DIGITS, *scales])


def _look(known: dict[str, _Known], lake: Lake, contract: Contract, own: list[Step]) -> list[list[_Line]]:
    """Opens a table after those it reads, so that what happens meanwhile makes it look behind, and never wrong."""
    opened = lake.table(contract).open()
    slices = opened.state.slices
    blocked = frozenset(
        name
        for name, attempt in read_attempts(opened.table.folder).items()
        if name not in slices or slices[name].sequence < attempt.at
    )
    partitions = {*slices, *blocked}
    for step in own:
        if step.upstream is not None:
            partitions |= {_period(contract, day) for day in known[step.upstream.name].partitions}
    everything = sorted(partitions)
    lines = [_lines(step, everything, opened, blocked, known) for step in own]
    behind = blocked | {line.partition for rows in lines for line in rows if line.is_behind}
    known[contract.name] = _Known(opened, frozenset(partitions), frozenset(behind))
    return lines


def _period(contract: Contract, day: str) -> str:
    return month_of(day) if contract.grain is Grain.MONTH else day


def _lines(
    step: Step, partitions: list[str], opened: Opened, blocked: frozenset[str], known: dict[str, _Known]
) -> list[_Line]:
    slices = opened.state.slices
    if step.upstream is None:
        return [_of_landing(name, slices.get(name), is_blocked=name in blocked) for name in partitions]
    source = known[step.upstream.name]
    now: dict[str, dict[str, str]] = {}
    waiting = {_period(step.contract, day) for day in source.behind}
    for day, revision in source.opened.state.revisions.items():
        now.setdefault(_period(step.contract, day), {})[day] = revision
    found = []
    for name in partitions:
        entry, read = slices.get(name), now.get(name, {})
        is_current = entry is not None and dict(entry.inputs.get(step.parameter, {})) == read
        is_behind = not is_current or name in blocked or name in waiting
        found.append(_Line(name, entry, bool(read), is_current, is_behind))
    return found


def _of_landing(name: str, entry: Slice | None, *, is_blocked: bool) -> _Line:
    """What was published is of a delivery that is recorded; whether another one lies there now, the planner knows."""
    records = entry.source.get("records") if entry else None
    is_published = entry is not None
    return _Line(name, entry, is_published, is_published, is_blocked, None if records is None else int(records))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads the two sides of one step, of some partitions of the reader (None: of all)."""

    connection: duckdb.DuckDBPyConnection
    step: Step
    known: Mapping[str, _Known]
    wanted: Collection[str] | None
    scratch: str

    def measured(self, contract: Contract, aggregates: Iterable[str], name: str) -> str:
        """A join of the measures of a table's rows, by the reader's partitions."""
        opened, reader = self.known[contract.name].opened, self.step.contract
        days = None
        if self.wanted is not None:
            days = [day for day in opened.state.slices if day in self.wanted or _period(reader, day) in self.wanted]
        relation = relation_sql(self.connection, opened, days, (), f"{self.scratch}_{name}")
        day = quote(contract.partition_column or "")
        if reader.grain is Grain.MONTH:
            day = f"CAST(date_trunc('month', {day}) AS DATE)"
        measures = ", ".join(f"{aggregate} AS measure_{number}" for number, aggregate in enumerate(aggregates))
        grouped = f"SELECT CAST({day} AS VARCHAR) AS partition, {measures} FROM ({relation}) GROUP BY ALL"
        return f" LEFT JOIN ({grouped}) AS {name} USING (partition)"


def _step_sql(reading: _Reading, lines: list[_Line], amount: str) -> str:
    step = reading.step
    places = range(len(step.measures))
    joins, taken = "", ["records"]
    if step.upstream is not None:
        joins = reading.measured(step.upstream, [measure.taken_in for measure in step.measures], "taken")
        taken = [f"CASE WHEN has_input THEN coalesce(taken.measure_{n}, 0) END" for n in places]
    joins += reading.measured(step.contract, [measure.given_out for measure in step.measures], "given")
    given = [f"CASE WHEN is_published THEN coalesce(given.measure_{n}, 0) END" for n in places]
    kept = ["quarantined" if measure.name == ROWS else "quarantined * 0" for measure in step.measures]
    names = [f"'{measure.name}'" for measure in step.measures]
    return (
        f"SELECT '{step.name}' AS step, '{step.contract.layer}' AS layer, '{step.contract.name}' AS table_name, "
        f"partition, unnest([{', '.join(names)}]) AS measure, "
        f"unnest(CAST([{', '.join(taken)}] AS {amount}[])) AS amount_in, "
        f"unnest(CAST([{', '.join(given)}] AS {amount}[])) AS amount_out, "
        f"unnest(CAST([{', '.join(kept)}] AS BIGINT[])) AS quarantined, is_published, is_behind, is_current "
        f"FROM (VALUES {', '.join(line.sql() for line in lines)}) AS published"
        f"(partition, is_published, has_input, is_current, is_behind, records, quarantined){joins}"
    )


def _nothing(amount: str) -> str:
    """The columns without rows: there are no partitions before anything was published."""
    types = {
        **dict.fromkeys(("step", "layer", "table_name", "partition", "measure"), "VARCHAR"),
        **dict.fromkeys(("amount_in", "amount_out"), amount),
        "quarantined": "BIGINT",
        **dict.fromkeys(("is_published", "is_behind", "is_current"), "BOOLEAN"),
    }
    return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in types.items())} WHERE false"
