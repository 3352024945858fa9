"""A table's rows as they were: a rollback is a publication of the rows of then, in one commit, and a hold.

The rows are judged by today's contract, what reads the table is stale exactly where they change, and a rollback
that was overtaken does not win. The table is held first, or the next run would undo it; so nothing else can publish
between looking and committing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dataplatform.assets.candidates import Candidate
from dataplatform.assets.dimension_changes import change_set
from dataplatform.assets.judging import judge
from dataplatform.assets.slices import EMPTY
from dataplatform.contracts.changes import classify, shape
from dataplatform.errors import PermanentError
from dataplatform.lake.records import ROLLBACK, ChangeSet, Record, Slice, read_entries, write_record
from dataplatform.lake.versions import find_version, open_at
from dataplatform.operations.holds import new_hold, tell_dagster
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.operations.text import count, ranges
from dataplatform.quality.results import Status
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    import dagster as dg
    import ibis

    from dataplatform.contracts.model import Contract
    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.table import Opened
    from dataplatform.lake.versions import Version
    from dataplatform.project import Project

_SHOWN = 5


@dataclass(frozen=True)
class Rollback:
    """The rows of `version` that differ from those of `target`, judged; and how many the table has then and has now.

    `changed` maps each partition that changes to its number of rows and its revision then; `is_rewrite` holds when
    the table is stored otherwise than today's contract says, and is replaced whole.
    """

    version: Version
    target: Opened
    rows: ibis.Table
    changed: Mapping[str, tuple[int, str]]
    is_rewrite: bool
    rows_then: int


def rollback_text(project: Project, contract: Contract, wanted: str) -> str:
    """What a rollback to `wanted` would do, in words. Raises PermanentError as `roll_back` does; changes nothing."""
    with project.session() as session:
        return _described(project, _prepared(project, session, contract, wanted, project.lake.table(contract).open()))


def roll_back(project: Project, contract: Contract, wanted: str, instance: dg.DagsterInstance) -> str:
    """Holds the table and publishes the rows that it had at `wanted`; says what was done.

    Raises PermanentError when there is no such version, when it had another shape or does not keep today's contract,
    and OvertakenError when somebody else changed the table meanwhile. In none of these cases did its rows change.
    """
    table = project.lake.table(contract)
    with project.session() as session:
        seen = table.open()
        prepared = _prepared(project, session, contract, wanted, seen)
        if not prepared.changed:
            return _described(project, prepared)
        table.place_hold(new_hold(f"rolled back to {prepared.version}"))
        target = table.open_to_publish(is_held=True)
        if target.version == seen.version + 1:  # nothing but the hold came in between
            prepared = replace(prepared, target=target)
        else:
            prepared = _prepared(project, session, contract, str(prepared.version.number), target)
        version = _publish(project, session, contract, prepared)
    reconcile_events(project, instance)
    tell_dagster(instance, contract, project.lake)
    return (
        f"{contract.full_name} has the rows of {prepared.version} again, in version {version}: "
        f"{_partitions(project, contract, prepared.changed)}\n"
        f"it is held until `dataplatform release {contract.name}`; `dataplatform run` makes what reads it "
        f"({_readers(project, contract)}) where rows changed\n"
        f"to undo this: dataplatform rollback {contract.name} --to {seen.version} --yes"
    )


def _prepared(project: Project, session: DuckDBSession, contract: Contract, wanted: str, target: Opened) -> Rollback:
    table = project.lake.table(contract)
    version = find_version(table, wanted, project.settings.business_zone)
    then = open_at(table, version)
    _refuse_another_shape(contract, then, version)
    is_rewrite = _is_stored_otherwise(contract, target)
    slices = target.state.slices
    doubtful = _doubtful(contract, then, target)
    found = {} if doubtful == () else session.fingerprints(session.open(then, doubtful), contract)
    names = {*found, *slices, *target.state.unknown} if doubtful is None else doubtful
    revisions = {name: found.get(name, (0, EMPTY)) for name in sorted(names)}
    changed = {
        name: (rows, revision)
        for name, (rows, revision) in revisions.items()
        if name not in slices or slices[name].revision != revision
    }
    if is_rewrite:
        whole = session.fingerprints(session.open(then), contract)
        changed = {name: whole.get(name, (0, EMPTY)) for name in sorted({*whole, *slices, *target.state.unknown})}
    rows = _judged(project, session, contract, then, version, target, changed)
    return Rollback(version, target, rows, changed, is_rewrite, sum(file.rows for file in then.files))


def _doubtful(contract: Contract, then: Opened, now: Opened) -> tuple[str, ...] | None:
    """The partitions whose rows may differ: those with other files. None when the files do not tell partitions."""
    old, new = ({(file.partition, file.path) for file in opened.files} for opened in (then, now))
    if old == new and not now.state.unknown:
        return ()
    if contract.physical != "partitioned" or not contract.is_partitioned:
        return None
    return tuple(sorted({str(partition) for partition, _ in old ^ new} | now.state.unknown))


def _refuse_another_shape(contract: Contract, then: Opened, version: Version) -> None:
    if then.handle is not None and not then.table.fits(then.handle):
        raise PermanentError(
            f"{contract.full_name}: at {version} it was stored in another shape than its contract has now; put "
            f"contract and function back as they were then and roll back again, or choose a version since: "
            f"`dataplatform history {contract.name}`"
        )


def _is_stored_otherwise(contract: Contract, target: Opened) -> bool:
    published = target.state.shape
    changes = [] if published is None else [c for c in classify(published, contract) if c.kind == "rebuild"]
    return bool(changes) or (target.handle is not None and not target.table.fits(target.handle))


def _judged(
    project: Project,
    session: DuckDBSession,
    contract: Contract,
    then: Opened,
    version: Version,
    target: Opened,
    changed: Mapping[str, tuple[int, str]],
) -> ibis.Table:
    """The rows of then in the partitions that change. Raises PermanentError unless they keep today's contract.

    A partition that was not there then is not judged: it is as if it had not been published yet.
    """
    there = [name for name, (rows, _) in changed.items() if rows]
    rows = session.open(then, there if contract.is_partitioned else None)
    if not there:
        return session.open(then, ())
    # what reads other inputs than then has as many rows as it had: the inputs of now have nothing to say about it
    kept = {name: {partition: changed[partition][0] for partition in there} for name in contract.row_preserving}
    stays = replace(target, state=target.state.without(target.version, set(changed) - set(there)))
    judged = judge(project, session, stays, Candidate(rows, tuple(there), input_rows=kept), rows)
    broken = [
        f"{result.partition}: {result}"
        for result in judged.results
        if result.status in (Status.FAILED, Status.QUARANTINED)
    ]
    if broken:
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        raise PermanentError(
            f"{contract.full_name}: its rows of {version} do not keep today's contract: "
            f"{'; '.join(broken[:_SHOWN])}{more}; put the contract back as it was then, or choose another version: "
            f"`dataplatform history {contract.name}`"
        )
    return judged.good


def _publish(project: Project, session: DuckDBSession, contract: Contract, prepared: Rollback) -> int:
    target, changed, run_id = prepared.target, prepared.changed, f"{ROLLBACK}{uuid.uuid4()}"
    table = project.lake.table(contract)
    changes: list[ChangeSet] = []
    if contract.dimension is not None and target.state.slices and not prepared.is_rewrite:
        (revision,) = (revision for _, revision in changed.values())
        changes = [change_set(session, target, prepared.rows, contract, contract.dimension, revision)]
    version = table.publish(
        target,
        session.batches(prepared.rows, contract),
        list(changed),
        run_id=run_id,
        keys=project.keys(contract),
        rewrite=prepared.is_rewrite,
        exactly=True,
    )
    slices, sequence = _slices(project, contract, prepared, version, run_id), time.time_ns()
    slices = {name: replace(entry, sequence=sequence) for name, entry in slices.items()}
    ordered = [ChangeSet((version, sequence), c.before, c.after, c.members) for c in changes]
    write_record(table.folder, Record(target.housekeeping | {version}, slices, shape(contract), ordered))
    return version


def _slices(project: Project, contract: Contract, prepared: Rollback, version: int, run_id: str) -> dict[str, Slice]:
    """What is recorded: rows and revision of then, and what they were made from where a record still knows it.

    Where none does, nothing is said of it, and the slice is stale once the table is released.
    """
    entries = read_entries(project.lake.table(contract).folder)
    now, of_today = utc_now().isoformat(timespec="seconds"), project.contract_of(contract)
    found: dict[str, Slice] = {}
    for name, (rows, revision) in prepared.changed.items():
        known = [
            entry
            for entry in entries.get(name, ())
            if (entry.revision, entry.contract) == (revision, of_today) and entry.version <= prepared.version.number
        ]
        if known:
            newest = max(known, key=lambda entry: entry.order)
            found[name] = replace(newest, version=version, run_id=run_id, published_at=now)
        else:
            found[name] = Slice(revision, rows, 0, version, 0, run_id, now, "", of_today, {})
    return found


def _described(project: Project, prepared: Rollback) -> str:
    contract, changed = prepared.target.table.contract, prepared.changed
    if not changed:
        return (
            f"{contract.full_name} has the rows of {prepared.version} already; there is nothing to roll back. "
            f"`dataplatform hold {contract.name}` keeps it as it is"
        )
    rows_now = sum(file.rows for file in prepared.target.files)
    emptied = [name for name, (rows, _) in changed.items() if not rows and contract.is_partitioned]
    what = f"{_partitions(project, contract, changed)}; {count(rows_now, 'row')} now, {prepared.rows_then:,} then"
    lines = [f"{contract.full_name} would have the rows of {prepared.version} again: {what}"]
    if emptied:
        lines.append(f"left without rows: {ranges(emptied, project.keys(contract))}")
    if prepared.is_rewrite:
        lines.append("rows and schema would be replaced whole: it is stored otherwise than its contract says")
    readers = _readers(project, contract)
    lines.append(
        f"it would be held until `dataplatform release {contract.name}`; stale after that, where rows change: {readers}"
    )
    return "\n".join(lines)


def _partitions(project: Project, contract: Contract, changed: Mapping[str, object]) -> str:
    spans = ranges(list(changed), project.keys(contract))
    return f"{count(len(changed), 'slice')} changed{f', {spans}' if spans else ''}"


def _readers(project: Project, contract: Contract) -> str:
    readers: Sequence[str] = project.catalog.descendants(contract.name)
    return ", ".join(readers) or "nothing"
