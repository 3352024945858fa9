"""Published rows of which no record is left: a crash fell between commit and record, or the record was damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project


def unrecorded_partitions(project: Project, opened: Opened) -> frozenset[str]:
    """The partitions that hold rows and have no record. The rows are looked at only when the files have too many."""
    known = opened.state.slices
    column = opened.table.contract.partition_column
    if column is None or sum(file.rows for file in opened.files) == sum(entry.rows for entry in known.values()):
        return frozenset()
    with project.session() as session:
        rows = session.open(opened, None, [column])
        found = rows.select(partition=rows[column].cast("string")).distinct().to_pyarrow()
    return frozenset(found["partition"].to_pylist()) - known.keys()
