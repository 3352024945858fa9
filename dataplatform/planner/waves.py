"""In which order and ranges stale slices are made: one wave is one Dagster run.

A run has one partition range, so a wave is a range of one grain with the unpartitioned tables that belong to it.
A table joins the wave of what it reads when it must be made anyway; when that depends on what the others turn out
to publish, it waits for the next plan. A table that reads its own past goes on to the end of its range: what was
corrected early usually changes all that follows, and a wave for each partition costs more than making it again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
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
    return next(iter(next_waves(project, plan)), None)


def next_waves(project: Project, plan: Plan, longest: int | None = None) -> list[Wave]:
    """The waves that can be made now, in whichever order: one for each contiguous range of what comes first.

    A range of more than `longest` partitions is cut: a run that dies then loses less, and starts sooner.
    """
    grain, stretches = _start(project, plan)
    cut = [
        stretch[n : n + size]
        for stretch in stretches
        for size in [longest or len(stretch)]
        for n in range(0, len(stretch), size)
    ]
    return [Wave(_tables(project, plan, grain, partitions), grain, partitions) for partitions in cut]


def _tables(project: Project, plan: Plan, grain: Grain, partitions: tuple[str, ...]) -> tuple[str, ...]:
    """The tables that can be made for these partitions in one run, in order."""
    taken: set[SliceName] = set()
    tables: list[str] = []
    for table, slices in plan.stale.items():
        contract = project.catalog.get(table)
        if contract.grain not in (grain, Grain.NONE):
            continue
        wanted = partitions if contract.is_partitioned else (WHOLE,)
        group = [slices[p] for p in wanted if p in slices]
        own = frozenset((table, partition) for partition in wanted)
        if len(group) == len(wanted) and all(_may_join(s, table, own, taken) for s in group):
            tables.append(table)
            taken |= own
    return tuple(tables)


def _may_join(slice_: StaleSlice, table: str, wave: AbstractSet[SliceName], taken: AbstractSet[SliceName]) -> bool:
    own = {name for name in slice_.after if name[0] == table}
    others = slice_.after - own
    # earlier slices of its own table are made before it
    return own <= wave and others <= taken and (slice_.certain or not others)


def _start(project: Project, plan: Plan) -> tuple[Grain, list[tuple[str, ...]]]:
    """Grain and contiguous ranges of the first table that has slices waiting for nothing.

    Partitioned tables go first: the unpartitioned ones that they need join their wave.
    """
    unpartitioned = False
    for table, slices in plan.stale.items():
        contract = project.catalog.get(table)
        ready: set[SliceName] = set()
        for slice_ in slices.values():  # in order: a slice may wait for earlier ones of its own table
            if slice_.after <= ready:
                ready.add((table, slice_.partition))
        if ready and contract.is_partitioned:
            return contract.grain, _stretches(project.keys(contract), {partition for _, partition in ready})
        unpartitioned = unpartitioned or bool(ready)
    return Grain.NONE, [(WHOLE,)] if unpartitioned else []


def _stretches(keys: Sequence[str], ready: Collection[str]) -> list[tuple[str, ...]]:
    """The ranges of neighbours among `keys` that are all ready."""
    found: list[list[str]] = []
    before = False
    for key in keys:
        is_ready = key in ready
        if is_ready and before:
            found[-1].append(key)
        elif is_ready:
            found.append([key])
        before = is_ready
    return [tuple(stretch) for stretch in found]
