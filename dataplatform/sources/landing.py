"""Deliveries that arrive as one file a day in a landing folder: which are there, and the verdict on each.

How files are read is `files.py`, `decoding.py` and `csv_files.py`; here is decided what a day's files amount to.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract
from dataplatform.contracts.schema import arrow_schema, empty_table
from dataplatform.errors import SourceRefusedError, TransientError
from dataplatform.sources.base import Delivery, FileRefusedError, Notice, Offer, Offers, Refusal, notice
from dataplatform.sources.csv_files import Records, names_shown, parse
from dataplatform.sources.decoding import decode, decompress
from dataplatform.sources.files import Files, Found
from dataplatform.sources.landing_spec import EXTRA_COLUMNS, FILE_NAME, LINE_NUMBER, landing_spec
from dataplatform.sources.profile import profile

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN_STRAYS = 5
_BYTES_PER_ROW = {True: 12, False: 80}
"""Compressed and plain; a little below what the shipped ledger takes (14.6 and 87), so that guesses are high."""


@dataclass(frozen=True, slots=True)
class _Content:
    """One file as read: its bytes as they lie there, or why they could not be had."""

    name: str
    stored: bytes
    refusal: FileRefusedError | None = None

    @property
    def digest(self) -> str:
        what = self.stored if self.refusal is None else str(self.refusal).encode()
        return hashlib.sha256(what).hexdigest()

    @property
    def is_gone(self) -> bool:
        return self.refusal is not None and self.refusal.code is Refusal.NOT_A_FILE


@dataclass(frozen=True, slots=True)
class _Listing:
    """What lies in the folder: the files of each day, the days whose marker is there, and the names of the rest."""

    days: Mapping[str, Sequence[Found]]
    marked: frozenset[str]
    others: Sequence[str]


class LandingSource:
    """The landing folder of one raw table. Raises ContractError when the contract does not describe one."""

    def __init__(self, contract: Contract, files: Files) -> None:
        self._contract = contract
        self._spec = landing_spec(contract)
        self._files = files

    def offers(self, first: str, last: str) -> Offers:
        """The days from `first` to `last` (YYYY-MM-DD) for which anything is there and, where asked for, its marker."""
        listing = self._list()
        days = {day: entries for day, entries in sorted(listing.days.items()) if first <= day <= last}
        awaiting = {day: self._awaited(day, entries) for day, entries in days.items() if self._awaits(day, listing)}
        offers = {day: _offer(day, entries) for day, entries in days.items() if day not in awaiting}
        return Offers(offers, awaiting)

    def fingerprint(self, offer: Offer) -> str:
        """A file that cannot be had counts by the reason, so that the answer changes when it can."""
        return _fingerprint(self._read(name) for name in offer.files)

    def is_closed(self, partition: str) -> bool:
        return self._spec.closed.is_closed(date.fromisoformat(partition))

    def strays(self) -> tuple[str, ...]:
        names = self._list().others
        if not names:
            return ()
        shown = ", ".join(names[:_SHOWN_STRAYS]) + (", …" if len(names) > _SHOWN_STRAYS else "")
        text = f"{len(names)} in {self._spec.folder} belong to no day ({shown}); names follow {self._spec.pattern}"
        return (notice(Notice.STRAY_FILE, text),)

    def expected_rows(self, partitions: Sequence[str]) -> dict[str, int]:
        """Guessed from the bytes of each day's files."""
        days = self._list().days
        return {
            day: max((e.size // _BYTES_PER_ROW[e.base.endswith(".gz")] for e in days.get(day, ())), default=0)
            for day in partitions
        }

    def deliver(self, partition: str) -> Delivery:
        return self._deliver(partition, self._list())

    def deliveries(self, partitions: Sequence[str]) -> Iterator[Delivery]:
        try:
            listing = self._list()
        except (SourceRefusedError, TransientError) as error:
            yield from (Delivery(partition, "unread", reason=str(error)) for partition in partitions)
            return
        for partition in partitions:
            try:
                yield self._deliver(partition, listing)
            except (SourceRefusedError, TransientError) as error:
                yield Delivery(partition, "unread", reason=str(error))

    def _list(self) -> _Listing:
        days: dict[str, list[Found]] = defaultdict(list)
        marked: set[str] = set()
        others: list[str] = []
        for entry in self._files.list(self._spec.folder):
            day, marker = self._spec.partition_of(entry.base), self._spec.marks(entry.base)
            if day is not None:
                days[day].append(entry)
            elif marker is not None:
                marked.add(marker)
            else:
                others.append(entry.name)
        return _Listing(days, frozenset(marked), others)

    def _awaits(self, partition: str, listing: _Listing) -> bool:
        return bool(self._spec.success) and partition in listing.days and partition not in listing.marked

    def _awaited(self, partition: str, entries: Sequence[Found]) -> str:
        names = ", ".join(entry.name for entry in entries)
        return notice(Notice.AWAITING_MARKER, f"{names}: not read before {self._spec.marker_of(partition)} is there")

    def _deliver(self, partition: str, listing: _Listing) -> Delivery:
        entries = listing.days.get(partition, ())
        if not entries:
            return self._nothing(partition)
        if self._awaits(partition, listing):
            text = self._awaited(partition, entries)
            return Delivery(partition, "missing", reason=text, warnings=(text,))
        offer = _offer(partition, entries)
        contents = [self._read(name) for name in offer.files]
        if any(content.is_gone for content in contents):  # taken away, or replaced under another name, since the list
            now = self._list()
            if list(now.days.get(partition, ())) != list(entries):
                return self._deliver(partition, now)
        return self._judged(offer, contents)

    def _judged(self, offer: Offer, contents: Sequence[_Content]) -> Delivery:
        partition = offer.partition
        refused = Delivery(
            partition, "refused", fingerprint=_fingerprint(contents), signature=offer.signature, files=offer.files
        )
        try:
            name, data, warnings = _one_of(partition, contents)
            text, marks = decode(name, data, self._spec.encoding)
            records = parse(name, text, self._spec.delimiter, self._spec.columns.values())
        except FileRefusedError as error:
            return replace(refused, reason=str(error))
        return replace(
            refused,
            status="accepted",
            warnings=(*warnings, *marks, *self._notices(partition, name, records)),
            table=self._table(partition, name, records),
            rejected=_with_file_name(records.rejected, name),
            columns=profile(records.cells),
        )

    def _nothing(self, partition: str) -> Delivery:
        if self.is_closed(partition):
            return Delivery(partition, "closed", table=empty_table(self._contract))
        text = notice(Notice.FILE_MISSING, f"no file in {self._spec.folder} for {partition}, which is an open day")
        return Delivery(partition, "missing", reason=text, warnings=(text,))

    def _read(self, name: str) -> _Content:
        try:
            return _Content(name, self._files.read(name))
        except FileRefusedError as refusal:
            return _Content(name, b"", refusal)

    def _notices(self, partition: str, name: str, records: Records) -> Iterable[str]:
        added = self._added(records)
        if added:
            yield notice(Notice.ADDED_COLUMNS, f"{name}: also has {names_shown(added)}; see {EXTRA_COLUMNS}")
        if not len(records.cells) and not len(records.rejected) and not self.is_closed(partition):
            yield notice(Notice.NO_ROWS, f"{name}: holds a header and no records, on an open day")

    def _added(self, records: Records) -> list[str]:
        """The columns that nobody agreed on, in an order that does not depend on the file's."""
        return sorted(set(records.header) - set(self._spec.columns.values()))

    def _table(self, partition: str, name: str, records: Records) -> pa.Table:
        """The accepted records in the contract's columns."""
        import pyarrow as pa

        rows = len(records.cells)
        made = {
            EXTRA_COLUMNS: _as_json(records.cells, self._added(records)),
            FILE_NAME: pa.repeat(pa.scalar(name), rows),
            LINE_NUMBER: records.numbers,
            self._contract.partition_column: pa.repeat(pa.scalar(date.fromisoformat(partition)), rows),
        }
        columns = [
            made[column] if column in made else records.cells[self._spec.columns[column]]
            for column in self._contract.column_names
        ]
        return pa.Table.from_arrays(columns, schema=arrow_schema(self._contract))


def _offer(partition: str, entries: Sequence[Found]) -> Offer:
    """The signature names every file with its size and last change; equal signatures mean nothing was touched."""
    signature = hashlib.sha256("\n".join(f"{e.name}\0{e.size}\0{e.stamp}" for e in entries).encode()).hexdigest()
    return Offer(partition, signature, tuple(entry.name for entry in entries))


def _fingerprint(contents: Iterable[_Content]) -> str:
    return hashlib.sha256("\n".join(f"{c.name}\0{c.digest}" for c in contents).encode()).hexdigest()


def _one_of(partition: str, contents: Sequence[_Content]) -> tuple[str, bytes, tuple[str, ...]]:
    """The one content of a day's files: its file's name, its bytes and a warning when it lies there twice."""
    datas: list[bytes] = []
    for content in contents:
        if content.refusal is not None:
            raise content.refusal
        datas.append(decompress(content.name, content.stored))
    names = ", ".join(content.name for content in contents)
    if any(data != datas[0] for data in datas):
        raise FileRefusedError(
            Refusal.DIFFERENT_FILES, f"{names}: differ, and all are for {partition}; leave only the right one"
        )
    warnings = (notice(Notice.IDENTICAL_DUPLICATE, f"{names}: hold the same, once is enough"),)
    return contents[0].name, datas[0], warnings if len(contents) > 1 else ()


def _with_file_name(rejected: pa.Table, name: str) -> pa.Table:
    import pyarrow as pa

    return rejected.add_column(0, FILE_NAME, pa.repeat(pa.scalar(name), len(rejected)))


def _as_json(cells: pa.Table, names: Sequence[str]) -> pa.Array[Any]:
    """The named columns as one JSON object per row; NULL when there are none."""
    import pyarrow as pa

    if not names:
        return pa.nulls(len(cells), pa.string())
    rows = zip(*(cells[name].to_pylist() for name in names), strict=True)
    return pa.array([json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows], pa.string())
