"""The platform's own Delta tables beside the lake's layers: quarantined rows, the history of rules and of runs.

They are always written by delta-rs. `quarantine.<table>` holds the rows that could not be published, by slice: a
re-run of a slice replaces its own. `quality.*` and `operations.*` are appended to: `quality.rule_results` has one row
per rule, partition and run, `operations.table_runs` one per table and step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.errors import OvertakenError
from dataplatform.lake import journal
from dataplatform.lake.handles import newest
from dataplatform.lake.predicates import predicate
from dataplatform.lake.table import create_table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

QUARANTINE, QUALITY, OPERATIONS = "quarantine", "quality", "operations"
ROOMS = (QUARANTINE, QUALITY, OPERATIONS)
RESULTS = "rule_results"
PARTITION, STATUS = "_partition", "_status"
_ATTEMPTS = 20


@dataclass(frozen=True)
class PlatformTables:
    """The platform's tables in one lake, under `<root>/<room>/<table>`."""

    root: Path

    def quarantine_uri(self, table: str) -> Path:
        return self.root / QUARANTINE / table

    def replace_quarantine(
        self, table: str, rows: pa.Table | None, partitions: Sequence[str], *, rewrite: bool = False
    ) -> None:
        """Replaces the quarantined rows of `partitions` by `rows` (none when None), in one commit.

        `rewrite` replaces all of them and their columns' types, as a rebuild does to the table.
        """
        from deltalake import write_deltalake

        uri, replaced = self.quarantine_uri(table), predicate(PARTITION, sorted(set(partitions)))

        def empty(handle: DeltaTable) -> None:
            if rewrite:
                handle.delete()
            elif {str(entry[PARTITION]) for entry in handle.partitions()}.intersection(partitions):
                handle.delete(replaced)

        if rows is None or not rows.num_rows:
            _commit(lambda: _open(uri), empty)
            return
        held = rows
        _commit(
            lambda: _open_or_create(uri, held.schema, [PARTITION]),
            lambda handle: (
                write_deltalake(handle, held, mode="overwrite", schema_mode="overwrite")
                if rewrite
                else write_deltalake(handle, held, mode="overwrite", predicate=replaced, schema_mode="merge")
            ),
        )

    def quarantined_counts(self, table: str) -> dict[str, int]:
        """Rows held in quarantine per partition, from the table's statistics alone."""
        counts: dict[str, int] = {}
        for (partition, _), rows in self.held(table).items():
            counts[partition] = counts.get(partition, 0) + rows
        return counts

    def held(self, table: str) -> dict[tuple[str, str], int]:
        """Rows held in quarantine per partition and status, from the table's statistics alone."""
        import pyarrow as pa

        handle = newest(self.quarantine_uri(table))
        if handle is None:
            return {}
        actions: list[dict[str, Any]] = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
        counts: dict[tuple[str, str], int] = {}
        for action in actions:
            # a partition was either published or not: its rows share one status
            key = (str(action[f"partition.{PARTITION}"]), str(action[f"min.{STATUS}"]))
            counts[key] = counts.get(key, 0) + action["num_records"]
        return counts

    def append_results(self, rows: pa.Table) -> None:
        """Adds rule results to `quality.rule_results`."""
        self.note(QUALITY, RESULTS, rows)

    def append_profiles(self, rows: pa.Table) -> None:
        """Appends what was measured of partitions to `quality.column_profiles`."""
        self.append(QUALITY, "column_profiles", rows)

    def profiles(self, table: str, first: str, last: str) -> pa.Table | None:
        """What was measured of a table's partitions from `first` to `last`; None when nothing ever was.

        Files without any of them are not read.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        rows = self.read(QUALITY, "column_profiles")
        held = (ds.field("table_name") == table) & (ds.field("partition") >= first) & (ds.field("partition") <= last)
        found: list[pa.Table] = [] if rows.pending is None else [rows.pending.filter(held)]
        if rows.handle is not None:
            found.insert(0, rows.handle.to_pyarrow_dataset().to_table(filter=held))
        return pa.concat_tables(found, promote_options="permissive") if found else None

    def append(self, room: str, table: str, rows: pa.Table) -> None:
        """Appends rows to `room.table`, made with their columns when it is not there yet."""
        from deltalake import write_deltalake

        if rows.num_rows:
            uri = self.root / room / table
            _commit(
                lambda: _open_or_create(uri, rows.schema, ()),
                lambda handle: write_deltalake(handle, rows, mode="append"),
            )

    def note(self, room: str, table: str, rows: pa.Table) -> None:
        """Adds rows to `room.table`, without the cost of a commit: `commit_notes` makes one of all that is noted."""
        if rows.num_rows:
            journal.note(self.root / room / table, rows)

    def commit_notes(self) -> None:
        """Commits what was noted for any table, one commit per table."""
        for room in (QUALITY, OPERATIONS):
            for pending in (self.root / room).glob(f"*/{journal.PENDING}"):
                journal.commit(pending.parent)

    def read(self, room: str, table: str) -> journal.Rows:
        """All rows of `room.table`, those that were noted and not yet committed too."""
        return journal.read(self.root / room / table)

    def extent(self, room: str, table: str) -> str:
        """Names what a history holds: its rows, pending ones too, and the newest instant. Housekeeping keeps it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        held = journal.read(self.root / room / table)
        column = None if held.handle is None else _instants(held.handle)
        rows, instants = 0, []
        if held.handle is not None and column is not None:
            actions: list[dict[str, Any]] = pa.table(held.handle.get_add_actions(flatten=True)).to_pylist()
            rows = sum(action["num_records"] for action in actions)
            instants = [action[f"max.{column}"] for action in actions]
        if held.pending is not None:
            rows += held.pending.num_rows
            column = column or next(f.name for f in held.pending.schema if pa.types.is_timestamp(f.type))
            instants.append(pc.max(held.pending[column]).as_py())
        newest = max((instant for instant in instants if instant is not None), default=None)
        return "none" if newest is None else f"{rows}@{newest.isoformat()}"

    def forget(self, room: str, table: str, before: datetime, *, dry_run: bool) -> int:
        """Deletes rows of a history that are older than `before`; returns how many they are.

        The first column that holds instants says how old a row is. A table without one is no history.
        """
        uri = self.root / room / table
        handle = _open(uri)
        column = None if handle is None else _instants(handle)
        if handle is None or column is None:
            return 0
        old = _count_before(handle, column, before)
        if old and not dry_run:
            _commit(lambda: _open(uri), lambda newest: newest.delete(f"{column} < '{before.isoformat()}'"))
        return old

    def readable(self) -> dict[str, Path]:
        """`schema.table` -> folder of every platform table that exists, for queries."""
        return {
            f"{room}.{folder.name}": folder
            for room in ROOMS
            for folder in sorted((self.root / room).glob("*"))
            if (folder / "_delta_log").is_dir() or (folder / journal.PENDING).is_dir()
        }


def _commit(opened: Callable[[], DeltaTable | None], write: Callable[[DeltaTable], object]) -> None:
    """Runs `write` on the newest version, if there is one, until no other process gets in between.

    Nothing that is written here depends on what was there before, so it may be written again as it is.
    """
    from deltalake.exceptions import CommitFailedError

    for attempt in range(1, _ATTEMPTS + 1):
        handle = opened()
        if handle is None:
            return
        try:
            write(handle)
        except CommitFailedError as error:
            if attempt == _ATTEMPTS:
                raise OvertakenError(f"{handle.table_uri}: other processes keep writing it; run this again") from error
        else:
            return


def _instants(handle: DeltaTable) -> str | None:
    import pyarrow as pa

    exported: Any = handle.schema().to_arrow()  # of another Arrow library; pyarrow's stubs do not know the protocol
    return next((field.name for field in pa.schema(exported) if pa.types.is_timestamp(field.type)), None)


def _count_before(handle: DeltaTable, column: str, before: datetime) -> int:
    import pyarrow.dataset as ds

    rows: int = handle.to_pyarrow_dataset().count_rows(filter=ds.field(column) < before)
    return rows


def _open_or_create(uri: Path, schema: pa.Schema, partition_by: Sequence[str]) -> DeltaTable | None:
    handle = _open(uri)
    if handle is None:
        create_table(uri, schema, partition_by, configuration=journal.CONFIGURATION)
    return handle or _open(uri)


def _open(uri: Path) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(str(uri))
    except TableNotFoundError:
        return None
