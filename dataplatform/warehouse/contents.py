"""What the lake publishes for the warehouse, what one warehouse file holds of it, and what differs.

A file says of itself what was loaded: `platform.loaded_tables` (definition and Delta version of each table) and
`platform.loaded_slices` (revision and run of each partition). Staleness is their difference from the lake's state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from dataplatform.contracts.changes import classify
from dataplatform.contracts.model import WHOLE, Contract, Layer
from dataplatform.engines.duckdb import quote, relation_sql
from dataplatform.errors import PermanentError
from dataplatform.warehouse.ddl import definition

if TYPE_CHECKING:
    import duckdb

    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

SERVED_LAYERS = (Layer.DIMENSIONAL, Layer.AGGREGATE)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ServedSlice:
    """One published partition: its revision, rows, and who published it when (unknown for a commit without record)."""

    revision: str
    rows: int
    run_id: str | None
    published_at: str | None


@dataclass(frozen=True)
class Served:
    """A lake table at the version that the warehouse should hold, and its partitions."""

    contract: Contract
    opened: Opened
    slices: Mapping[str, ServedSlice]

    @cached_property
    def lake_rows(self) -> int:
        """Rows by the files' own count, which owes nothing to the record of publications."""
        return sum(file.rows for file in self.opened.files)

    @property
    def definition(self) -> str:
        return definition(self.contract)


def read_served(project: Project, connection: duckdb.DuckDBPyConnection) -> list[Served]:
    """Every dimensional and aggregate table as published now. `connection` is used for what only the rows tell.

    Raises PermanentError when a table waits for a rebuild: its rows are not what its contract says.
    """
    served = []
    for contract in project.catalog:
        if contract.layer in SERVED_LAYERS:
            opened = project.lake.table(contract).open()
            served.append(Served(contract, opened, _slices(connection, opened)))
    return served


def refuse_changed_contracts(served: Iterable[Served]) -> None:
    """Raises PermanentError when a contract changed on a populated table that has not been rebuilt since."""
    for table in served:
        shape = table.opened.state.shape
        changes = [] if shape is None else [c.text for c in classify(shape, table.contract) if c.kind == "rebuild"]
        if changes:
            raise PermanentError(
                f"{table.contract.full_name}: its contract changed on a populated table ({'; '.join(changes)}); "
                f"run `dataplatform rebuild {table.contract.name} --yes` before the warehouse is refreshed"
            )


def _slices(connection: duckdb.DuckDBPyConnection, opened: Opened) -> dict[str, ServedSlice]:
    """The recorded partitions, and those that hold rows of a commit whose record was lost."""
    known = {name: ServedSlice(s.revision, s.rows, s.run_id, s.published_at) for name, s in opened.state.slices.items()}
    if sum(file.rows for file in opened.files) == sum(s.rows for s in known.values()):
        return known
    contract = opened.table.contract
    key = f"CAST({quote(contract.partition_column)} AS VARCHAR)" if contract.partition_column else f"'{WHOLE}'"
    rows = relation_sql(connection, opened, None, [contract.partition_column or contract.column_names[0]], "_slices")
    # files have names of their own, so that these never stand for other rows, not even in a restored lake
    files = hashlib.sha256("\n".join(sorted(file.path for file in opened.files)).encode()).hexdigest()[:12]
    for name, count in connection.execute(f"SELECT {key}, count(*) FROM ({rows}) GROUP BY ALL").fetchall():
        known.setdefault(str(name), ServedSlice(f"unrecorded:{files}", count, None, None))
    return known


@dataclass(frozen=True)
class Loaded:
    """What a warehouse file says it holds, by table; nothing for a file that cannot say."""

    definitions: Mapping[str, str] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection) -> Loaded:
        definitions = dict(connection.execute("SELECT table_name, definition FROM platform.loaded_tables").fetchall())
        slices: dict[str, dict[str, str]] = {name: {} for name in definitions}
        rows = connection.execute("SELECT table_name, partition, revision FROM platform.loaded_slices").fetchall()
        for table, partition, revision in rows:
            slices.setdefault(table, {})[partition] = revision
        return cls(definitions, slices)

    @property
    def digest(self) -> str:
        """Names the content: equal digests, equal rows."""
        parts = [f"{table}={text}" for table, text in self.definitions.items()]
        parts += [f"{table}/{name}={rev}" for table, held in self.slices.items() for name, rev in held.items()]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Change:
    """What a refresh must do to one table: the partitions to take out, those to bring in, and why."""

    served: Served
    out: tuple[str, ...]
    new: tuple[str, ...]
    reason: str
    is_new_definition: bool

    @property
    def rows(self) -> int:
        return sum(self.served.slices[name].rows for name in self.new)


def compare(served: Iterable[Served], loaded: Loaded) -> list[Change]:
    """The tables whose slices or definition differ from what is loaded."""
    changes = []
    for table in served:
        name = table.contract.full_name
        held = loaded.slices.get(name, {})
        new = sorted(p for p, s in table.slices.items() if held.get(p) != s.revision)
        out = sorted(p for p in held if p not in table.slices or p in new)
        is_other = loaded.definitions.get(name) != table.definition
        if is_other or new or out:
            reason = _reason(name, new, out, never=name not in loaded.definitions, is_other=is_other)
            changes.append(Change(table, tuple(out), tuple(new), reason, is_other))
    return changes


def _reason(name: str, new: list[str], out: list[str], *, never: bool, is_other: bool) -> str:
    if never:
        return f"{name}: never loaded"
    if is_other:
        return f"{name}: its contract changed"
    partitions = sorted({*new, *out})
    if partitions == [WHOLE]:
        return f"{name}: changed"
    shown = ", ".join(partitions[:_SHOWN])
    more = f" and {len(partitions) - _SHOWN} more" if len(partitions) > _SHOWN else ""
    return f"{name}: {len(partitions)} slice{'s' if len(partitions) > 1 else ''} changed: {shown}{more}"


def gone(served: Iterable[Served], loaded: Loaded) -> list[str]:
    """Tables that are loaded and are no longer served."""
    return sorted(set(loaded.definitions) - {table.contract.full_name for table in served})
