"""The platform's own Delta tables beside the lake's layers: quarantined rows and the history of every rule.

They are always written by delta-rs. `quarantine.<table>` holds the rows that could not be published, by slice: a
re-run of a slice replaces its own. `quality.rule_results` is appended to, one row per rule, partition and run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.lake.table import predicate

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

QUARANTINE, QUALITY = "quarantine", "quality"
PARTITION = "_partition"


@dataclass(frozen=True)
class PlatformTables:
    """The platform's tables in one lake, under `<root>/quarantine` and `<root>/quality`."""

    root: Path

    def quarantine_uri(self, table: str) -> Path:
        return self.root / QUARANTINE / table

    def replace_quarantine(self, table: str, rows: pa.Table | None, partitions: Sequence[str]) -> None:
        """Replaces the quarantined rows of `partitions` by `rows` (none when None), in one commit."""
        from deltalake import write_deltalake

        uri = self.quarantine_uri(table)
        handle = _open(uri)
        held = set(partitions) & (set() if handle is None else _partition_values(handle))
        if rows is None or not rows.num_rows:
            if handle is not None and held:
                handle.delete(predicate(PARTITION, sorted(held)))
            return
        if handle is None:
            write_deltalake(str(uri), rows, mode="append", partition_by=[PARTITION])
            return
        replaced = predicate(PARTITION, sorted(set(partitions)))
        write_deltalake(handle, rows, mode="overwrite", predicate=replaced, schema_mode="merge")

    def quarantined_counts(self, table: str) -> dict[str, int]:
        """Rows held in quarantine per partition, from the table's statistics alone."""
        import pyarrow as pa

        handle = _open(self.quarantine_uri(table))
        if handle is None:
            return {}
        actions: list[dict[str, Any]] = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
        counts: dict[str, int] = {}
        for action in actions:
            partition = str(action[f"partition.{PARTITION}"])
            counts[partition] = counts.get(partition, 0) + action["num_records"]
        return counts

    def append_results(self, rows: pa.Table) -> None:
        """Appends rule results to `quality.rule_results`."""
        from deltalake import write_deltalake

        if rows.num_rows:
            write_deltalake(str(self.root / QUALITY / "rule_results"), rows, mode="append")

    def readable(self) -> dict[str, Path]:
        """`schema.table` -> folder of every platform table that exists, for queries."""
        return {
            f"{room}.{folder.name}": folder
            for room in (QUARANTINE, QUALITY)
            for folder in sorted((self.root / room).glob("*"))
            if (folder / "_delta_log").is_dir()
        }


def _open(uri: Path) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(str(uri))
    except TableNotFoundError:
        return None


def _partition_values(handle: DeltaTable) -> set[str]:
    return {str(entry[PARTITION]) for entry in handle.partitions()}
