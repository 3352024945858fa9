"""In which order and ranges stale slices are made: one wave is one Dagster run.

A run has one partition range, so a wave is a range of one grain with the unpartitioned tables that belong to it.
A table joins the wave of what it reads when it must be made anyway; when that depends on what the others turn out
to publish, it waits for the next plan. A table that reads its own past goes on to the end of its range: what was
corrected early usually changes all that follows, and a wave for each partition costs more than making it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Grain

if TYPE_CHECKING:
    from dataplatform.planner.plan import Plan, SliceName, StaleSlice
    from dataplatform.project import Project


@dataclass(frozen=True, slots=True)
class Wave:
    """Tables (in order) to make for a contiguous range of partitions; the range is `("all",)` without partitions."""

    tables: tuple[str, ...]
    grain: Grain
    partitions: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.partitions[0]

    @property
    def last(self) -> str:
        return self.partitions[-1]

    @property
    def title(self) -> str:
        """`2011-01-01..2011-01-05`, one partition, or nothing for a wave of unpartitioned tables."""
        if self.grain is Grain.NONE:
            return ""
        return self.first if self.first == self.last else f"{self.first}..{self.last}"


def next_wave(project: Project, plan: Plan) -> Wave | None:
    """The first wave of `plan`, or None when nothing can be made. After it has run, plan again."""
    start = _start(project, plan)
    if start is None:
        return None
    grain, partitions = start
    taken: set[SliceName] = set()
    tables: list[str] = []
    for table, slices in plan.stale.items():
        contract = project.catalog.get(table)
        if contract.grain not in (grain, Grain.NONE):
            continue
        wanted = partitions if contract.is_partitioned else (WHOLE,)
        group = [slices[p] for p in wanted if p in slices]
        if len(group) == len(wanted) and all(_may_join(s, table, wanted, taken) for s in group):
            tables.append(table)
            taken |= {(table, s.partition) for s in group}
    return Wave(tuple(tables), grain, partitions)


def _may_join(slice_: StaleSlice, table: str, partitions: Sequence[str], taken: set[SliceName]) -> bool:
    own = {name for name in slice_.after if name[0] == table}
    others = slice_.after - own
    in_order = own <= {(table, partition) for partition in partitions}  # earlier ones of itself, made before it
    return in_order and others <= taken and (slice_.certain or not others)


def _start(project: Project, plan: Plan) -> tuple[Grain, tuple[str, ...]] | None:
    """Grain and first contiguous range of the first table that has slices waiting for nothing.

    Partitioned tables go first: the unpartitioned ones that they need join their wave.
    """
    found: tuple[Grain, tuple[str, ...]] | None = None
    for table, slices in plan.stale.items():
        contract = project.catalog.get(table)
        ready: set[str] = set()
        for partition, slice_ in slices.items():  # in order: a slice may wait for earlier ones of its own table
            if slice_.after <= {(table, p) for p in ready}:
                ready.add(partition)
        if not ready:
            continue
        if contract.is_partitioned:
            return contract.grain, _first_run(project.keys(contract), ready)
        found = found or (Grain.NONE, (WHOLE,))
    return found


def _first_run(keys: Sequence[str], ready: set[str]) -> tuple[str, ...]:
    run: list[str] = []
    for key in keys:
        if key in ready:
            run.append(key)
        elif run:
            break
    return tuple(run)
