"""History does not move under facts: which partitions hold members whose versions changed since they were read.

A dimension that is published again leaves its change set in the record. A fact partition that holds none of
those members, in none of those intervals, is not stale, however often the dimension is refreshed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Dimension, Grain, Input

if TYPE_CHECKING:
    from dataplatform.lake.records import ChangeSet
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

Member = tuple[str, str, str]
"""(value of the referenced column, first day, first day after) of a change that matters to a reader."""


def hit_partitions(project: Project, reader: Opened, dimension: Opened, wanted: Input) -> frozenset[str] | None:
    """The reader's partitions that hold a changed member; None when that cannot be told, so all are concerned."""
    slices = dimension.state.slices
    lookup, identity = wanted.lookup, dimension.table.contract.dimension
    if WHOLE not in slices or lookup is None or identity is None:
        return None
    current = slices[WHOLE].revision
    behind: dict[str, list[str]] = {}
    for partition, slice_ in reader.state.slices.items():
        revision = slice_.inputs.get(wanted.parameter, {}).get(WHOLE, "")
        if revision != current:
            behind.setdefault(revision, []).append(partition)
    hit: set[str] = set()
    for revision, partitions in behind.items():
        changes = _changes_since(dimension.state.changes, revision, current)
        unknown = _unknown_key(project, dimension, identity) if lookup.references == identity.key else None
        members = None if changes is None else _members(changes, unknown, set(lookup.uses))
        if members is None:
            hit.update(partitions)
        elif members:
            hit |= _holding(project, reader, lookup.column, members) & set(partitions)
    return frozenset(hit)


def _changes_since(changes: Sequence[ChangeSet], revision: str, current: str) -> list[ChangeSet] | None:
    """The change sets that lead from `revision` to `current`; None when the record does not reach back."""
    for position in range(len(changes) - 1, -1, -1):
        if changes[position].before == revision:
            path = list(changes[position:])
            links = itertools.pairwise(path)
            complete = path[-1].after == current and all(a.after == b.before for a, b in links)
            return path if complete else None
    return None


def _unknown_key(project: Project, dimension: Opened, identity: Dimension) -> str:
    """The key of the unknown member, the one without a natural id; '' when there is none.

    A reader that holds keys instead of ids holds this one for every member that was not there yet.
    """
    with project.session() as session:
        rows = session.open(dimension, None, [identity.id, identity.key])
        unknown = rows.filter(rows[identity.id].isnull()).select(identity.key).limit(1)
        found = session.connection.sql(str(session.backend.compile(unknown))).fetchone()
    return str(found[0]) if found else ""


def _members(changes: Sequence[ChangeSet], unknown: str | None, uses: set[str]) -> list[Member] | None:
    """What to look for in the reader: natural ids when `unknown` is None, else keys."""
    found: set[Member] = set()
    for change in changes:
        if change.members is None:
            return None
        for natural, key, start, end, columns in change.members:
            if "*" not in columns and not uses & set(columns):
                continue
            if natural is None:  # the unknown member: readers hold it under ids that no list can name
                return None
            found.add((natural if unknown is None else str(key), start, end))
            if unknown and "*" in columns:
                found.add((unknown, start, end))
    return sorted(found)


def _holding(project: Project, reader: Opened, column: str, members: Sequence[Member]) -> frozenset[str]:
    """Partitions of `reader` with a row whose `column` is one of the members, on a day of its interval."""
    import ibis
    import pyarrow as pa

    from dataplatform.quality.scope import fetch

    partition = reader.table.contract.partition_column
    with project.session() as session:
        rows = session.open(reader, None, [column, *([partition] if partition else [])])
        names = ("member", "starts", "ends")
        changed = session.from_arrow(pa.table({n: [m[i] for m in members] for i, n in enumerate(names)}))
        # the few members take the column's type: a text of each of a million rows would cost more than all the rest
        matches = rows[column] == changed.member.try_cast(rows[column].type())
        if partition is None:
            held = rows.semi_join(changed, [matches]).select(partition=ibis.literal(WHOLE)).limit(1)
        else:
            day = rows[partition]
            starts, ends = changed.starts.cast("date"), changed.ends.cast("date")
            in_time = [day >= starts, day < ends] if reader.table.contract.grain is Grain.DAY else []
            hit = rows.semi_join(changed, [matches, *in_time])
            held = hit.select(partition=hit[partition].cast("string")).distinct()
        return frozenset(name for (name,) in fetch(held))
