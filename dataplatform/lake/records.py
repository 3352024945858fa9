"""The record of publications: per partition, what was published and from which inputs. Staleness is read from it.

Each publication leaves one small JSON object in `<table>/_publications/`, named by the Delta version it belongs
to. The state of a table is the newest entry per partition over all objects, so that the order in which they are
written or read does not matter, and writers of disjoint slices need no lock. Delta ignores folders that begin
with an underscore, so the record travels with the table when it is copied, and outlives Delta's own log.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dataplatform.lake.handles import Kept

FOLDER = "_publications"
MERGE_AT = 64
"""A table's records are merged into one object when there are this many, so that reading them stays cheap."""

ROLLBACK = "rollback-"
"""How the run id of a rollback begins."""
EMPTIED = "delete-partition-"
"""How the run id of a publication begins that left partitions without rows, by name."""

InputRevisions = Mapping[str, str]
"""Partition -> revision of an input that was read. Whole-table windows keep `{"*": digest}` instead."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What is known of one published partition.

    `revision` names the rows (it changes only when rows do); `version` is a Delta version that holds them: the one
    that was published, or, where only the record is renewed, the one at which the rows were found to be these;
    `inputs` maps each parameter to the revisions it read; `source` is the delivered file of a raw table.
    """

    revision: str
    rows: int
    quarantined: int
    version: int
    sequence: int
    run_id: str
    published_at: str
    code: str
    contract: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, InputRevisions] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int]:
        return (self.version, self.sequence)

    @property
    def is_of_unknown_making(self) -> bool:
        """Whether a rollback brought the rows back, and what they were made from is no longer known."""
        return self.run_id.startswith(ROLLBACK) and not self.inputs and not self.source

    @property
    def is_emptied(self) -> bool:
        """Whether its rows were deleted by name, and what it was made from has more."""
        return self.run_id.startswith(EMPTIED)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """Which members of a dimension changed in one publication: rows of (id, key, from, to, columns).

    `members` is None when too many changed to list: then every reader is concerned.
    """

    order: tuple[int, int]
    before: str
    after: str
    members: tuple[tuple[str | None, int | None, str, str, tuple[str, ...]], ...] | None


@dataclass(frozen=True)
class State:
    """The published state of one table: newest slice per partition, its shape, and its recent change sets."""

    slices: Mapping[str, Slice] = field(default_factory=dict)
    shape: Mapping[str, Any] | None = None
    changes: Sequence[ChangeSet] = ()
    recorded_versions: frozenset[int] = frozenset()
    unknown: frozenset[str] = frozenset()
    """Partitions that were published by a commit whose record is lost: nothing is known of them but that."""

    @cached_property
    def revisions(self) -> dict[str, str]:
        return {partition: slice_.revision for partition, slice_ in self.slices.items()}

    def without(self, version: int, partitions: Iterable[str] | None) -> State:
        """The same state without what commit `version` may have replaced (every slice when None)."""
        hit = set(self.slices if partitions is None else partitions)
        kept = {name: entry for name, entry in self.slices.items() if name not in hit or entry.version > version}
        return replace(self, slices=kept, unknown=self.unknown | (hit - kept.keys()))

    def until(self, version: int) -> State:
        """The same state without what it says of later versions than `version`."""
        kept = {name: entry for name, entry in self.slices.items() if entry.version <= version}
        return replace(
            self,
            slices=kept,
            changes=[change for change in self.changes if change.order[0] <= version],
            recorded_versions=frozenset(known for known in self.recorded_versions if known <= version),
            unknown=self.unknown | (self.slices.keys() - kept.keys()),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """One publication as it is stored: its slices, the table's shape, and a dimension's change set."""

    versions: frozenset[int]
    slices: Mapping[str, Slice]
    shape: Mapping[str, Any]
    changes: Sequence[ChangeSet] = ()


def write_record(table_folder: Path, record: Record) -> None:
    """Stores `record` atomically, and merges the table's records when there are many."""
    folder = table_folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder, record)
    names = _names(folder)
    if len(names) >= MERGE_AT:
        _merge(folder, names)


def read_state(table_folder: Path) -> State:
    """The newest slice per partition over all records; an empty state when there are none.

    A damaged record counts as none: the commits it belongs to are unknown, and what they published is made again.
    While the objects are the same ones, so is the answer.
    """
    folder = table_folder / FOLDER
    for _ in range(3):  # a merge may delete an object between listing and reading: then list again
        try:
            listed = _listed(folder)
            kept = _states.get(folder)
            if kept is None or kept[0] != listed:
                kept = listed, _fold(folder, [name for name, *_ in listed])
                _states.put(folder, kept)
        except FileNotFoundError:
            continue
        return kept[1]
    raise OSError(f"{folder} changes faster than it can be read")


def read_entries(table_folder: Path) -> dict[str, list[Slice]]:
    """Every entry there still is of each partition, also older ones. What records were merged is the newest alone."""
    folder = table_folder / FOLDER
    found: dict[str, list[Slice]] = {}
    for name in _names(folder):
        with suppress(FileNotFoundError):  # merged a moment ago
            record = _read(folder / name)
            for partition, entry in record.slices.items() if record else ():
                found.setdefault(partition, []).append(entry)
    return found


def is_readable(path: Path) -> bool:
    """Whether the record in a file is whole. FileNotFoundError when it was merged meanwhile."""
    return _read(path) is not None


def forget_after(table_folder: Path, version: int) -> None:
    """Removes what the records say of versions after `version`, which the log does not have and will number again."""
    folder = table_folder / FOLDER
    names = _names(folder)
    _replace(folder, names, _fold(folder, names).until(version))


def record_housekeeping(table_folder: Path, versions: frozenset[int]) -> None:
    """Names commits that changed no row, before Delta's log forgets them: unnamed, they would make all rows unknown.

    Then merges the table's records into one.
    """
    folder = table_folder / FOLDER
    if versions:
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder, Record(versions, {}, {}))
    names = _names(folder)
    if len(names) > 1:
        _merge(folder, names)


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.glob("*.json"))


_Listed = tuple[tuple[str, int, int], ...]
"""Name, size and last change of each record: their content never changes, unless a disk or a hand damages it."""
_states: Kept[tuple[_Listed, State]] = Kept()


def _listed(folder: Path) -> _Listed:
    try:
        with os.scandir(folder) as entries:
            found = [(each.name, each.stat()) for each in entries if each.name.endswith(".json")]
    except FileNotFoundError:
        if folder.is_dir():
            raise
        return ()
    return tuple(sorted((name, status.st_size, status.st_mtime_ns) for name, status in found))


def _put(folder: Path, record: Record) -> None:
    content = _to_json(record)
    name = f"{max(record.versions, default=0):020d}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    partial = folder / f"{name}.partial"
    try:
        with partial.open("w", encoding="utf-8") as file:
            # in one piece: `json.dump` encodes in Python, ten times slower
            file.write(json.dumps(content, separators=(",", ":"), sort_keys=True))
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # a full disk, a cancelled run: half a record is of no use, and takes room
        partial.unlink(missing_ok=True)
        raise
    partial.rename(folder / f"{name}.json")


def _merge(folder: Path, names: Sequence[str]) -> None:
    try:
        _replace(folder, names, _fold(folder, names))
    except FileNotFoundError:  # another process is merging at this moment
        return


def _replace(folder: Path, names: Sequence[str], state: State) -> None:
    """Puts one record in the place of those named; a crash in between leaves both, which means the same."""
    _put(folder, Record(state.recorded_versions, state.slices, state.shape or {}, state.changes[-500:]))
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _to_json(record: Record) -> dict[str, Any]:
    """Values that many slices share (run, code, settings, input digests) are written once and referred to."""
    shared: list[Any] = []
    index: dict[str, int] = {}

    def refer(value: Any) -> int:
        text = json.dumps(value, sort_keys=True)
        if text not in index:
            index[text] = len(shared)
            shared.append(value)
        return index[text]

    slices = {}
    for partition, slice_ in record.slices.items():
        entry = asdict(slice_)
        common = {key: entry.pop(key) for key in ("run_id", "published_at", "code", "contract", "settings")}
        entry["inputs"] = {name: refer(dict(value)) for name, value in slice_.inputs.items()}
        slices[partition] = {**entry, "common": refer(common)}
    return {
        "versions": sorted(record.versions),
        "shape": record.shape,
        "shared": shared,
        "slices": slices,
        "changes": [[*change.order, change.before, change.after, change.members] for change in record.changes],
    }


def _fold(folder: Path, names: Iterable[str]) -> State:
    """Newest entry per partition over the named records."""
    found: dict[str, list[Slice]] = {}
    changes: dict[tuple[int, int], ChangeSet] = {}
    versions: set[int] = set()
    shape: tuple[int, Mapping[str, Any]] = (-1, {})
    for name in names:
        record = _read(folder / name)
        if record is not None:
            versions |= record.versions
            if record.shape:  # a record of housekeeping has none, and may come after a rebuild it did not see
                shape = max(shape, (max(record.versions, default=0), record.shape), key=lambda pair: pair[0])
            changes |= {change.order: change for change in record.changes}
            for partition, entry in record.slices.items():
                found.setdefault(partition, []).append(entry)
    slices = {partition: max(entries, key=lambda entry: entry.order) for partition, entries in found.items()}
    return State(slices, shape[1] or None, [changes[order] for order in sorted(changes)], frozenset(versions))


def _read(path: Path) -> Record | None:
    """The record in a file; None when it is damaged, by a full disk or by hand."""
    stored = path.read_bytes()
    try:
        return _from_json(json.loads(stored))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _from_json(content: Mapping[str, Any]) -> Record:
    changes = [
        ChangeSet(
            (version, sequence),
            before,
            after,
            None if members is None else tuple((m[0], m[1], m[2], m[3], tuple(m[4])) for m in members),
        )
        for version, sequence, before, after, members in content["changes"]
    ]
    slices = {partition: _slice(entry, content["shared"]) for partition, entry in content["slices"].items()}
    return Record(frozenset(content["versions"]), slices, content["shape"], changes)


def _slice(entry: Mapping[str, Any], shared: Sequence[Any]) -> Slice:
    fields = {key: value for key, value in entry.items() if key != "common"}
    fields["inputs"] = {name: shared[position] for name, position in entry["inputs"].items()}
    return Slice(**fields, **shared[entry["common"]])
