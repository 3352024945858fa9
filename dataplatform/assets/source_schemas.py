"""What each delivery looked like, in `operations.source_schemas`, and how it differs from the days before it.

One row per delivery and column, noted when the delivery is read; the same files read again leave none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract, Rule, RuleKind, Severity
from dataplatform.lake.platform_tables import OPERATIONS, PlatformTables
from dataplatform.quality.results import RuleResult
from dataplatform.sources.base import Notice
from dataplatform.sources.drift import Drift, Seen, drift
from dataplatform.sources.profile import ColumnProfile

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.sources.base import Delivery

TABLE = "source_schemas"
FULL_NAME = f"{OPERATIONS}.{TABLE}"
AS_BEFORE = Rule(
    "delivery:as_before",
    RuleKind.DELIVERY,
    "delivery",
    severity=Severity.WARNING,
    description="the source looks as it did on the days before",
)
_MARKS = (Notice.BOM, Notice.UTF16)
_LOOK_BACK = timedelta(days=60)
"""Holds the deliveries that one is compared with, also after a shop was closed for weeks."""


@dataclass(frozen=True, slots=True)
class Look:
    """One delivery that was read, without its rows."""

    partition: str
    files: tuple[str, ...]
    fingerprint: str
    records: int
    marks: tuple[str, ...]
    columns: Sequence[ColumnProfile]

    @property
    def seen(self) -> Seen:
        return Seen(self.partition, self.records, {column.name: column for column in self.columns})


def look(delivery: Delivery) -> Look:
    """What is kept of a delivery. Records count whether they became rows or not."""
    records = sum(part.num_rows for part in (delivery.table, delivery.rejected) if part is not None)
    codes = [warning.partition(":")[0] for warning in delivery.warnings]
    marks = tuple(mark.value for mark in _MARKS if mark.value in codes)
    return Look(delivery.partition, delivery.files, delivery.fingerprint, records, marks, delivery.columns)


def schema() -> pa.Schema:
    """The columns of `operations.source_schemas`."""
    import pyarrow as pa

    text, count = pa.string(), pa.int64()
    columns: dict[str, pa.DataType] = {
        "seen_at": pa.timestamp("us", tz="UTC"),
        "run_id": text,
        "table_name": text,
        "partition": text,
        "files": pa.list_(text),
        "fingerprint": text,
        "records": count,
        "marks": pa.list_(text),
        "position": count,
        "column_name": text,
        "kind": text,
        "empty_share": pa.float64(),
        "kinds": pa.map_(text, pa.float64()),
    }
    return pa.schema(columns)


@dataclass(frozen=True)
class Recorded:
    """The deliveries of one table that were read before, the newest of each partition, with their fingerprints."""

    seen: Mapping[str, Seen]
    fingerprints: Mapping[str, str]


def recorded(platform: PlatformTables, contract: Contract, partitions: Sequence[str]) -> Recorded:
    """Those of `partitions`, and of the days before them that they are compared with."""
    found: dict[str, dict[str, Any]] = {}
    first = (date.fromisoformat(min(partitions)) - _LOOK_BACK).isoformat()
    for row in _rows(platform, contract.name, first, max(partitions)):
        entry = found.get(row["partition"])
        if entry is None or row["seen_at"] > entry["seen_at"]:
            found[row["partition"]] = entry = {**row, "columns": []}
        if row["seen_at"] == entry["seen_at"]:
            column = ColumnProfile(row["column_name"], row["position"], dict(row["kinds"]))
            entry["columns"].append(column)
    return Recorded(
        {partition: Seen(partition, e["records"], {c.name: c for c in e["columns"]}) for partition, e in found.items()},
        {partition: entry["fingerprint"] for partition, entry in found.items()},
    )


def _rows(platform: PlatformTables, table: str, first: str, last: str) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    wanted = (pc.field("table_name") == table) & (pc.field("partition") >= first) & (pc.field("partition") <= last)
    stored = platform.read(OPERATIONS, TABLE)
    parts: list[pa.Table] = [] if stored.pending is None else [stored.pending.filter(wanted)]
    if stored.handle is not None:
        columns = ["seen_at", "partition", "fingerprint", "records", "position", "column_name", "kinds"]
        parts.append(stored.handle.to_pyarrow_dataset().to_table(columns=columns, filter=wanted))
    return sorted(
        (row for part in parts for row in part.to_pylist()), key=lambda row: (row["seen_at"], row["position"])
    )


def drifts(looks: Sequence[Look], before: Recorded) -> dict[str, list[Drift]]:
    """Partition -> what is not as on the days before it, of these deliveries and of those that were recorded."""
    known = {**before.seen, **{each.partition: each.seen for each in looks}}
    days = sorted(known)
    return {
        each.partition: drift(each.seen, [known[day] for day in days if day < each.partition][-_ENOUGH:])
        for each in looks
    }


_ENOUGH = 30
"""More than what a delivery is compared with, so that a few without columns do not matter."""


def drift_result(partition: str, found: Sequence[Drift], rows: int) -> RuleResult:
    """The verdict on one delivery, in which no value stands."""
    told = "; ".join(map(str, found))
    return RuleResult(AS_BEFORE, partition, not found, "as on the days before", told or "the same", 0, rows)


def looks_to_arrow(looks: Sequence[Look], contract: Contract, *, run_id: str, seen_at: datetime) -> pa.Table:
    """One row per delivery and column."""
    import pyarrow as pa

    rows = [
        {
            "seen_at": seen_at,
            "run_id": run_id,
            "table_name": contract.name,
            "partition": each.partition,
            "files": list(each.files),
            "fingerprint": each.fingerprint,
            "records": each.records,
            "marks": list(each.marks),
            "position": column.position,
            "column_name": column.name,
            "kind": column.kind,
            "empty_share": column.empty_share,
            "kinds": list(column.kinds.items()),
        }
        for each in looks
        for column in each.columns
    ]
    return pa.Table.from_pylist(rows, schema=schema())
