"""A plan as people read it: what would be made, why, and what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dataplatform.contracts.changes import classify
from dataplatform.operations.text import count, ranges, table
from dataplatform.planner.waves import next_wave

if TYPE_CHECKING:
    from dataplatform.contracts.model import Contract
    from dataplatform.planner.plan import Plan, StaleSlice
    from dataplatform.project import Project

_PARTITIONS = re.compile(r": \d{4}-\d\d-\d\d.*?(?=;|$)")
"""The partitions that a reason names: they differ from slice to slice, the reason does not."""


def plan_text(project: Project, plan: Plan) -> str:
    """Every table with stale slices: how many, which, why, and whether they are certain to be made.

    One line when there is nothing to do; then what cannot be made, and why.
    """
    return "\n".join([*_stale(project, plan), *obstacles(project, plan)])


def _stale(project: Project, plan: Plan) -> Iterator[str]:
    wave = next_wave(project, plan)
    if wave is None:
        yield "nothing to do: everything that can be made is up to date"
        return
    tables = len([slices for slices in plan.stale.values() if slices])
    yield f"{count(len(plan), 'slice')} of {count(tables, 'table')} would be made"
    yield table(("table", "slices", "partitions", "why", "made"), _rows(project, plan))
    names = ", ".join(project.catalog.get(name).full_name for name in wave.tables)
    yield f"the first run makes {names}{f' for {wave.title}' if wave.title else ''}; what follows is planned again then"


def _rows(project: Project, plan: Plan) -> Iterator[Sequence[object]]:
    for name, slices in plan.stale.items():
        contract = project.catalog.get(name)
        groups: dict[tuple[str, bool], list[StaleSlice]] = {}
        for slice_ in slices.values():
            groups.setdefault((_PARTITIONS.sub("", slice_.reason), slice_.certain), []).append(slice_)
        for (reason, certain), group in groups.items():
            spans = ranges({slice_.partition for slice_ in group}, project.keys(contract))
            when = "certainly" if certain else "if what it reads comes out different"
            yield contract.full_name, len(group), spans, reason, when


def obstacles(project: Project, plan: Plan) -> Iterator[str]:
    """What is not made and why: sources that give nothing, missing files, holds, contracts that ask for a rebuild."""
    for name, why in plan.down.items():
        yield f"down: {project.catalog.get(name).full_name}: {why}"
    for name, waits in plan.awaiting.items():
        days = ranges(waits, project.keys(project.catalog.get(name)))
        yield f"notice: {project.catalog.get(name).full_name}: awaiting_marker on {count(len(waits), 'day')}: {days}"
    for name, partitions in plan.missing_files.items():
        contract = project.catalog.get(name)
        days = ranges(partitions, project.keys(contract))
        yield f"warning: {contract.full_name}: no file on {count(len(partitions), 'open day')}: {days}"
    yield from hold_lines(project, plan)
    for name, changes in plan.refused.items():
        waiting = ", ".join(project.catalog.descendants(name)) or "nothing"
        yield (
            f"refused: {project.catalog.get(name).full_name}: its contract changed on published rows "
            f"({'; '.join(changes)}); run `dataplatform rebuild {name} --yes` (waiting for it: {waiting})"
        )


def hold_lines(project: Project, plan: Plan) -> Iterator[str]:
    """One line per table on hold: since when, why, how many slices wait, and what ends it."""
    for name, held in plan.held.items():
        contract = project.catalog.get(name)
        spans = ranges(held.waiting, project.keys(contract))
        waiting = f" (waiting: {count(len(held.waiting), 'slice')}{f', {spans}' if spans else ''})"
        yield f"{held.hold.of(contract.full_name)}{waiting if held.waiting else ''}"


def never_possible(project: Project, selected: Sequence[str]) -> Iterator[str]:
    """Selected tables of which nothing is published although nothing is stale: what they wait for."""
    for name in selected:
        contract = project.catalog.get(name)
        if project.lake.table(contract).open().state.slices or contract.source is not None:
            continue
        inputs = [project.catalog.get(wanted.table) for wanted in contract.inputs]
        absent = [each.full_name for each in inputs if not project.lake.table(each).open().state.slices]
        if absent:
            yield f"{contract.full_name} waits for {', '.join(absent)}: make both with --select +{contract.name}"


def rebuild_text(project: Project, contract: Contract) -> str:
    """What a rebuild of the table would rewrite, why it may be needed, and what is stale after it. Raises HeldError."""
    opened = project.lake.table(contract).open()
    opened.refuse_held()
    state = opened.state
    changes = [] if state.shape is None else [change.text for change in classify(state.shape, contract)]
    rows = sum(entry.rows for entry in state.slices.values())
    readers = ", ".join(project.catalog.descendants(contract.name)) or "nothing"
    what = f"{count(len(state.slices), 'published slice')} with {count(rows, 'row')}"
    lines = (
        f"{contract.full_name}: {what} would be made again and replaced, rows and schema, in one commit",
        f"contract against what is published: {'; '.join(changes) or 'no change of shape'}",
        f"stale after that, where rows change: {readers}",
    )
    return "\n".join(lines)
