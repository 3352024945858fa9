"""Emptying partitions on purpose: the one way in which published rows go away without others in their place."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataplatform.assets.slices import EMPTY, refuse_changed_contract
from dataplatform.assets.tracking import StepRun, commit_tracking, tracked
from dataplatform.contracts.changes import shape
from dataplatform.contracts.model import Contract
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import PermanentError
from dataplatform.lake.records import EMPTIED, Record, Slice, write_record
from dataplatform.operations.text import count

if TYPE_CHECKING:
    import dagster as dg

    from dataplatform.project import Project


def published_slice(project: Project, contract: Contract, partition: str) -> Slice:
    """What is published of one partition. Raises PermanentError when nothing is."""
    entry = project.lake.table(contract).open().state.slices.get(partition)
    if entry is None:
        raise PermanentError(f"{contract.full_name} {partition} was never published; there is nothing to empty")
    return entry


def _entry(project: Project, contract: Contract, partition: str) -> Slice:
    """What is published of one partition; of a day for which nothing was ever delivered, that it has no rows."""
    if contract.source is None or partition in project.lake.table(contract).open().state.slices:
        return published_slice(project, contract, partition)
    code, decided, bound = project.code_of(contract), project.contract_of(contract), project.settings_of(contract)
    return Slice(EMPTY, 0, 0, 0, 0, "", "", code, decided, bound)


def delete_plan(project: Project, contract: Contract, partition: str) -> str:
    """What `empty_slices` would do to the partition, in words.

    Raises PermanentError when nothing is published, and HeldError when the table is held.
    """
    project.lake.table(contract).open().refuse_held()
    entry = _entry(project, contract, partition)
    readers = ", ".join(project.catalog.descendants(contract.name)) or "nothing"
    if not entry.published_at:
        return (
            f"{contract.full_name} {partition} would be recorded as without rows, until a file is delivered for it; "
            f"stale after that: {readers}"
        )
    return (
        f"{contract.full_name} {partition} would be left without rows ({count(entry.rows, 'row')} now), until what it "
        f"is made from changes; stale after that: {readers}"
    )


def empty_slices(project: Project, contract: Contract, partitions: Sequence[str], instance: dg.DagsterInstance) -> int:
    """Publishes `partitions` without rows, in one commit, and tells Dagster; returns the Delta version.

    What was read for them stays recorded, and code, contract and settings count as today's: nothing makes the rows
    again until one of these changes. A day of a raw table may be one that was never delivered, and never will be.
    Raises PermanentError for any other partition that was never published.
    """
    import pyarrow as pa

    from dataplatform.operations.reconcile import reconcile_events

    before = {partition: _entry(project, contract, partition) for partition in partitions}
    table = project.lake.table(contract)
    target = table.open_to_publish()
    refuse_changed_contract(target)
    opened_at, run_id = target.version, f"{EMPTIED}{uuid.uuid4()}"
    nothing = pa.RecordBatchReader.from_batches(arrow_schema(contract), [])
    with tracked(project.lake.root, StepRun(run_id, contract.layer, contract.name, partitions)) as run:
        version = table.publish(target, nothing, partitions, run_id=run_id, keys=project.keys(contract))
        run.status, run.version_read, run.version_written = "published", opened_at, version
    slices = {
        partition: replace(
            entry,
            revision=EMPTY,
            rows=0,
            version=version,
            sequence=time.time_ns(),
            run_id=run_id,
            published_at=datetime.now(UTC).isoformat(timespec="seconds"),
            code=project.code_of(contract),
            contract=project.contract_of(contract),
            settings=project.settings_of(contract),
        )
        for partition, entry in before.items()
    }
    write_record(table.folder, Record(target.housekeeping | {version}, slices, shape(contract)))
    commit_tracking(project.lake.root)
    reconcile_events(project, instance)
    return version
