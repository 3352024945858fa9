"""Moves records on where an input's new revision was found not to concern a slice, so that it is asked once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from dataplatform.lake.records import Record, write_record

if TYPE_CHECKING:
    from dataplatform.planner.plan import Plan
    from dataplatform.project import Project


def renew_records(project: Project, plan: Plan) -> None:
    """Writes one record per table of `plan.renewable`: same rows, newer revision of the input."""
    for table, renewed in plan.renewable.items():
        opened = project.lake.table(project.catalog.get(table)).open()
        sequence = time.time_ns()
        slices = {
            partition: replace(entry, inputs={**entry.inputs, **inputs}, sequence=sequence)
            for partition, (planned, inputs) in renewed.items()
            # only what the plan looked at: what was published since has its own inputs
            if (entry := opened.state.slices.get(partition)) is not None and entry.order == planned
        }
        write_record(opened.table.folder, Record(opened.housekeeping, slices, opened.state.shape or {}))
    plan.renewable.clear()
