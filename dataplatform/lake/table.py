"""One lake table: open a version, list the files of a slice, publish slices in one commit.

Nothing here knows how rows are made or judged. Reading hands out files and datasets; the engines turn them into
relations. Every commit names the Dagster run that made it and the slices it replaced.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import OvertakenError, PermanentError
from dataplatform.lake.handles import Kept, newest
from dataplatform.lake.holds import SLICES, HeldError, Hold, read_hold, write_hold
from dataplatform.lake.predicates import describe_partitions, predicate
from dataplatform.lake.records import State, forget_after, read_state

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

UNREADABLE_FEATURES = frozenset({"deletionVectors", "columnMapping", "typeWidening", "v2Checkpoint"})
"""Delta features with which a plain read of the files would give wrong rows; such tables are refused."""
RUN = "dataplatform.run_id"
"""Key of a commit's own metadata: the run that made it."""


def retention_properties(keep: timedelta) -> dict[str, str | None]:
    """Delta's properties of a table of which the versions of the last `keep` stay readable.

    Delta must remember replaced files as long as its log, or a vacuum takes them for nobody's. Its own cleaning of the
    log is off: it goes by when a version was made, and forgets one that everybody still read within the retention.
    """
    duration = f"interval {keep.days} days"
    return {
        "delta.logRetentionDuration": duration,
        "delta.deletedFileRetentionDuration": duration,
        "delta.enableExpiredLogCleanup": "false",
    }


_CONFIGURATION = {**retention_properties(timedelta(days=30)), "delta.checkpointInterval": "50"}


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table version: its path, its partition value (or None) and its rows and bytes."""

    path: str
    partition: str | None
    rows: int
    size: int


@dataclass(frozen=True)
class Opened:
    """A table at one version, with its publication state; what is published through it cannot win if overtaken."""

    table: LakeTable
    handle: DeltaTable | None
    state: State
    housekeeping: frozenset[int] = frozenset()
    """Versions that are Delta's own maintenance: the next record names them, so that they are looked up once."""
    is_ahead: bool = False
    """Whether there are records of versions that the log does not have."""

    @property
    def version(self) -> int:
        """The Delta version, or -1 when the table does not exist yet."""
        return -1 if self.handle is None else self.handle.version()

    @cached_property
    def hold(self) -> Hold | None:
        """Why nothing may publish the table now; None when anything may."""
        return read_hold(self.handle)

    def refuse_held(self) -> None:
        """Raises HeldError when the table is held."""
        if self.hold is not None:
            raise HeldError(self.hold.of(self.table.contract.full_name))

    @cached_property
    def files(self) -> tuple[DataFile, ...]:
        """All files of this version, without reading any of them."""
        if self.handle is None:
            return ()
        import pyarrow as pa

        features = set(self.handle.protocol().reader_features or ())
        if features & UNREADABLE_FEATURES:
            names = ", ".join(sorted(features & UNREADABLE_FEATURES))
            raise PermanentError(f"{self.table.contract.full_name} uses Delta features that are refused: {names}")
        column = f"partition.{self.table.contract.partition_column}"
        actions: list[dict[str, Any]] = pa.table(self.handle.get_add_actions(flatten=True)).to_pylist()
        return tuple(
            DataFile(
                path=urllib.parse.unquote(action["path"]),
                partition=None if action.get(column) is None else str(action[column]),
                rows=action["num_records"],
                size=action["size_bytes"],
            )
            for action in actions
        )

    def files_of(self, partitions: Collection[str] | None) -> list[DataFile]:
        """The files that may hold rows of `partitions` (all files when None, none when there are no partitions)."""
        if partitions is None:
            return list(self.files)
        wanted = frozenset(partitions)
        return [file for file in self.files if wanted and (file.partition is None or file.partition in wanted)]

    def largest(self, column: str) -> Any:
        """A column's largest value by the files' statistics, without reading any; None when they do not tell."""
        if self.handle is None:
            return None
        import pyarrow as pa

        actions = pa.table(self.handle.get_add_actions(flatten=True))
        name = f"max.{column}"
        values = actions[name].to_pylist() if name in actions.column_names else []
        return max((value for value in values if value is not None), default=None)

    def dataset(self) -> ds.Dataset:
        """This version as an Arrow dataset: right in every case, also on object stores."""
        if self.handle is None:
            raise PermanentError(f"{self.table.contract.full_name} has never been published")
        dataset: ds.Dataset = self.handle.to_pyarrow_dataset()
        return dataset


@dataclass(frozen=True)
class LakeTable:
    """The Delta table of one contract, in one lake."""

    contract: Contract
    folder: Path

    @property
    def uri(self) -> str:
        return str(self.folder)

    def open(self, version: int | None = None) -> Opened:
        """Opens the table at its newest (or the given) version.

        A commit without a record (a crash fell between the two) makes its slices unknown; a commit that is not
        the platform's, or is no longer in the log, makes every older slice unknown, and a log that ends before its
        records do (a copy made meanwhile) what they know beyond it. Unknown slices are stale and are made again.
        """
        if version is not None:
            return self._at(version)
        # the records are read before the handle: what is published in between then counts as unknown, never as known
        state, handle = read_state(self.folder), newest(self.folder)
        kept = _opened.get(self.folder)
        if kept is not None and kept.of is state and kept.opened.handle is handle and kept.opened.table == self:
            return kept.opened
        opened = self._judged(state, handle)
        _opened.put(self.folder, _KeptOpened(state, opened))
        return opened

    def _at(self, version: int | None) -> Opened:
        """One version (None: the newest) on a handle of its own."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        state = read_state(self.folder)
        try:
            handle = DeltaTable(self.uri, version=version)
        except TableNotFoundError:
            return Opened(self, None, State())
        if version is not None:  # the records tell of now, and merge: nothing is known of then but its rows
            return Opened(self, handle, State())
        return self._judged(state, handle)

    def _judged(self, state: State, handle: DeltaTable | None) -> Opened:
        if handle is None:
            return Opened(self, None, State())
        is_ahead = max(state.recorded_versions, default=0) > handle.version()
        state, housekeeping = _distrust_unrecorded(handle, state.until(handle.version()) if is_ahead else state)
        return Opened(self, handle, state, housekeeping, is_ahead)

    def open_to_publish(self, *, is_held: bool = False) -> Opened:
        """Opens the table before its inputs are read, creating it empty when it is not there.

        A first publication is then guarded by a handle like every other. Raises HeldError when the table is held,
        unless who asks holds it (`is_held`).
        """
        opened = self._at(None)
        if not is_held:
            opened.refuse_held()
        if opened.handle is None:
            create_table(
                self.folder, arrow_schema(self.contract), self._partition_by, self.contract.name, _CONFIGURATION
            )
            opened = self._at(None)
        elif not (opened.files or opened.state.slices or opened.state.unknown or self.fits(opened.handle)):
            self._shape_again(opened.handle)
            opened = self._at(None)
        if opened.is_ahead:
            forget_after(self.folder, opened.version)
        return opened

    def fits(self, handle: DeltaTable) -> bool:
        """Whether the stored columns, types and layout are the contract's, but for columns that were added since."""
        import pyarrow as pa

        exported: Any = handle.schema().to_arrow()  # of another Arrow library; pyarrow's stubs do not know the protocol
        stored = {field.name: field.type for field in pa.schema(exported)}
        wanted = {field.name: field.type for field in arrow_schema(self.contract)}
        same = all(wanted.get(name) == type_ for name, type_ in stored.items())
        return same and handle.metadata().partition_columns == (self._partition_by or [])

    def _shape_again(self, handle: DeltaTable) -> None:
        """Gives a table in which nothing was ever published the columns of today's contract."""
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        try:
            write_deltalake(
                handle,
                arrow_schema(self.contract).empty_table(),
                mode="overwrite",
                schema_mode="overwrite",
                partition_by=self._partition_by,
                commit_properties=CommitProperties(custom_metadata={SLICES: "[]"}, max_commit_retries=0),
            )
        except CommitFailedError as error:
            raise OvertakenError(f"{self.contract.full_name}: another run published it meanwhile") from error

    def publish(
        self,
        opened: Opened,
        rows: pa.RecordBatchReader,
        partitions: Sequence[str],
        *,
        run_id: str,
        keys: Sequence[str] = (),
        rewrite: bool = False,
        exactly: bool = False,
    ) -> int:
        """Replaces exactly `partitions` by `rows` in one commit; returns the new Delta version.

        `keys` are all partitions of the table in order, so that neighbours become one range. `rewrite` replaces
        the whole table and its schema. Raises OvertakenError when another run committed to these slices since
        `opened` (`exactly`: committed anything), and PermanentError when rows lie outside them; in both cases nothing
        has changed.
        """
        from deltalake import CommitProperties, WriterProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        contract = self.contract
        handle = opened.handle
        if handle is None:
            raise PermanentError(f"{contract.full_name} was opened to read, not to publish")
        partitioned = contract.is_partitioned and not rewrite
        options: dict[str, Any] = {"schema_mode": "overwrite"} if rewrite else {}
        # Delta does not see two whole-table writes conflict when the first added files and removed none (seen: both
        # results stayed); so a whole table is committed on exactly the version it was opened at, or not at all
        retries = 15 if partitioned and not exactly else 0
        if partitioned:
            options["predicate"] = predicate(contract.partition_column or "", partitions, keys)
            if _adds_columns(handle, rows.schema):
                options["schema_mode"] = "merge"
        try:
            write_deltalake(
                handle,
                rows,
                mode="overwrite",
                partition_by=self._partition_by if rewrite else None,
                commit_properties=CommitProperties(
                    custom_metadata={RUN: run_id, SLICES: json.dumps(list(partitions))}, max_commit_retries=retries
                ),
                writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
                **options,
            )
        except CommitFailedError as error:
            names = describe_partitions(partitions)
            raise OvertakenError(
                f"{contract.full_name} {names}: another run published it meanwhile; this run's rows were discarded"
            ) from error
        except DeltaError as error:
            if "failed validation check" in str(error):
                names = describe_partitions(partitions)
                raise PermanentError(
                    f"{contract.full_name}: rows outside the published slice {names}; {error}"
                ) from error
            raise
        return handle.version()

    def place_hold(self, hold: Hold) -> None:
        """Holds the table, whatever is about to publish it. One that was never published is created, empty."""
        if self.open().handle is None:
            self.open_to_publish()
        write_hold(self.contract.full_name, self.uri, hold)

    def end_hold(self) -> None:
        write_hold(self.contract.full_name, self.uri, None)

    @property
    def _partition_by(self) -> list[str] | None:
        column = self.contract.partition_column
        return [column] if column is not None and self.contract.physical == "partitioned" else None

    def bytes_added(self, version: int) -> int:
        """Bytes of the files that commit `version` added; 0 when the log no longer holds it."""
        try:
            lines = (self.folder / "_delta_log" / f"{version:020d}.json").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return 0
        return sum(json.loads(line)["add"]["size"] for line in lines if line.startswith('{"add"'))


@dataclass(frozen=True, slots=True)
class _KeptOpened:
    """A table as opened, and the records it was judged by: the same two give the same again."""

    of: State
    opened: Opened


_opened: Kept[_KeptOpened] = Kept()
_HOUSEKEEPING = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "CREATE TABLE", "SET TBLPROPERTIES"})
"""Commits of Delta's own housekeeping: they never change rows."""


def _distrust_unrecorded(handle: DeltaTable, state: State) -> tuple[State, frozenset[int]]:
    """`state` without what unrecorded commits may have replaced, and the versions of mere housekeeping."""
    unrecorded = set(range(1, handle.version() + 1)) - state.recorded_versions
    housekeeping: set[int] = set()
    if not unrecorded:
        return state, frozenset()
    commits = {int(c["version"]): c for c in handle.history(handle.version() - min(unrecorded) + 1)}
    for version in sorted(unrecorded):
        commit = commits.get(version, {})  # nothing: the log no longer goes back so far
        slices = json.loads(commit.get(SLICES, "null"))
        if commit.get("operation") in _HOUSEKEEPING or slices == []:
            housekeeping.add(version)
        else:
            state = state.without(version, slices)
    return state, frozenset(housekeeping)


def create_table(
    folder: Path,
    schema: pa.Schema,
    partition_by: Sequence[str] | None,
    name: str | None = None,
    configuration: Mapping[str, str | None] | None = None,
) -> None:
    """Makes an empty Delta table where there is none; of several processes that do so at once, one makes it."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(CommitFailedError):  # "ignore" looks before it writes, and another process may have written since
        DeltaTable.create(
            str(folder),
            schema=schema,
            mode="ignore",
            name=name,
            partition_by=list(partition_by or ()) or None,
            configuration=configuration,
        )


@dataclass(frozen=True)
class Lake:
    """All tables of one data folder: `<root>/<layer>/<table>`."""

    root: Path

    def table(self, contract: Contract) -> LakeTable:
        return LakeTable(contract, self.root / contract.layer / contract.name)


def _adds_columns(handle: DeltaTable, schema: pa.Schema) -> bool:
    present = {field.name for field in handle.schema().fields}
    return any(name not in present for name in schema.names)
