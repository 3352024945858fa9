"""How slices are made: stage the candidate once, judge it by partition, publish the good ones in one commit, record.

This is the one path by which rows reach the lake, for assets, rebuilds and replays alike, and it knows no Dagster.
The target is opened before the inputs are read and the commit is made on that handle, so that an overtaken run
cannot win: it is run again from its inputs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from dataplatform.assets.candidates import Candidate, goes_one_by_one
from dataplatform.assets.dimension_changes import change_set
from dataplatform.assets.judging import Maker, delivered_or_made, judge, stage
from dataplatform.assets.noting import RebuildNeededError, noting
from dataplatform.assets.source_schemas import TABLE as SOURCE_SCHEMAS
from dataplatform.assets.source_schemas import looks_to_arrow
from dataplatform.assets.tracking import StepRun, tracked
from dataplatform.contracts.changes import classify, fingerprint, shape
from dataplatform.contracts.model import Contract, Severity
from dataplatform.errors import (
    OvertakenError,
    PermanentError,
    SourceRefusedError,
    TransientError,
    UnfitValueError,
)
from dataplatform.lake.platform_tables import OPERATIONS, PlatformTables
from dataplatform.lake.records import ChangeSet, Record, Slice, write_record
from dataplatform.quality.audit import Audit
from dataplatform.quality.history import quarantine_to_arrow, results_to_arrow
from dataplatform.quality.profiles import profiles_to_arrow
from dataplatform.quality.results import RuleResult

if TYPE_CHECKING:
    import ibis

    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

ATTEMPTS = 5
"""How often an overtaken step is run again from its inputs before it gives up."""
CHUNK_ROWS = 2_000_000
"""Rows that are staged at once; a larger range is published in several commits, each whole."""
EMPTY = "0-0"
"""The revision of a partition without rows."""

Status = Literal["published", "unchanged", "failed", "refused", "unread", "left"]


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """What became of one requested partition. `problems` has one line per reason when it was not published."""

    partition: str
    status: Status
    rows: int = 0
    quarantined: int = 0
    revision: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        return self.status in ("published", "unchanged")


@dataclass
class Outcome:
    """What became of one request: per partition, every rule's result, and the Delta version it ended at."""

    table: str
    slices: dict[str, SliceOutcome] = field(default_factory=dict)
    results: list[RuleResult] = field(default_factory=list)
    version: int = -1
    seconds: float = 0.0
    preview: list[dict[str, object]] = field(default_factory=list)
    """A few published rows, private values masked."""
    untold: str = ""
    """Why the step's row in `operations.table_runs` could not be stored; empty when it was."""

    @property
    def failed(self) -> list[SliceOutcome]:
        return [s for s in self.slices.values() if s.status in ("failed", "refused", "unread")]

    @property
    def published(self) -> list[SliceOutcome]:
        return [s for s in self.slices.values() if s.is_published]


def make_slices(
    project: Project,
    contract: Contract,
    partitions: Sequence[str],
    *,
    run_id: str,
    rewrite: bool = False,
    maker: Maker | None = None,
) -> Outcome:
    """Makes `partitions` of a table and publishes those that pass; the others keep what they had.

    `rewrite` replaces the whole table with its schema (`dataplatform rebuild`): all of it or nothing.
    `maker` gives rows that are not the table's own function's (an asset with the lake's IO manager).
    Raises ShapeError, PermanentError or, after several attempts, OvertakenError; judged failures are in the Outcome.
    """
    started = time.perf_counter()
    outcome, run = Outcome(contract.name), StepRun(run_id, contract.layer, contract.name, partitions)
    step = _Step(project, contract, rewrite, maker or delivered_or_made(project), outcome, run)
    whole = rewrite or maker is not None or len(partitions) == 1
    is_planned = not rewrite and maker is None
    noted = noting(project, contract, partitions, run_id, outcome) if is_planned else nullcontext()
    with tracked(project.lake.root, run), noted:
        try:
            for chunk in [list(partitions)] if whole else _chunks(project, contract, partitions):
                _make_or_split(step, chunk, splits=not whole)
        finally:
            run.judged(outcome)
    outcome.seconds, outcome.untold = time.perf_counter() - started, run.untold
    return outcome


def _make_or_split(step: _Step, partitions: Sequence[str], *, splits: bool) -> None:
    """Makes `partitions`, again from their inputs when overtaken. A value that fits nowhere fails its own day alone."""
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _make_chunk(step, partitions)
            except OvertakenError:
                if attempt == ATTEMPTS:
                    raise
                step.run.attempts += 1
    except UnfitValueError as error:
        if not splits:
            raise
        if len(partitions) == 1:
            step.outcome.slices[partitions[0]] = SliceOutcome(partitions[0], "failed", problems=(str(error),))
            return None
        half = len(partitions) // 2
        _make_or_split(step, partitions[:half], splits=True)
        _make_or_split(step, partitions[half:], splits=True)
    return None


def _chunks(project: Project, contract: Contract, partitions: Sequence[str]) -> Iterator[list[str]]:
    """Splits a range so that no chunk stages many more than CHUNK_ROWS; what depends on the slice goes one by one."""
    if goes_one_by_one(project, contract):
        yield from ([partition] for partition in partitions)
        return
    weights = _expected_rows(project, contract, partitions)
    chunk: list[str] = []
    total = 0
    for partition in partitions:
        if chunk and total + weights.get(partition, 0) > CHUNK_ROWS:
            yield chunk
            chunk, total = [], 0
        chunk.append(partition)
        total += weights.get(partition, 0)
    if chunk:
        yield chunk


def _expected_rows(project: Project, contract: Contract, partitions: Sequence[str]) -> dict[str, int]:
    if contract.source is not None:
        try:
            return project.source(contract).expected_rows(partitions)
        except (SourceRefusedError, TransientError):  # what cannot be listed now says so for each partition when read
            return {}
    day_inputs = [w for w in contract.inputs if w.window.kind == "same"]
    weights: dict[str, int] = dict.fromkeys(partitions, 0)
    for wanted in day_inputs:
        upstream = project.catalog.get(wanted.table)
        slices = project.lake.table(upstream).open().state.slices
        for partition in partitions:
            rows = (
                slices[partition].rows
                if partition in slices
                else sum(s.rows for p, s in slices.items() if p[:7] == partition[:7])
            )
            weights[partition] = max(weights[partition], rows)
    return weights


@dataclass(frozen=True)
class _Step:
    """What stays the same over the chunks and attempts of one request."""

    project: Project
    contract: Contract
    rewrite: bool
    maker: Maker
    outcome: Outcome
    run: StepRun

    @property
    def run_id(self) -> str:
        return self.run.run_id


def _make_chunk(step: _Step, partitions: Sequence[str]) -> None:
    project, contract, outcome = step.project, step.contract, step.outcome
    target = project.lake.table(contract).open_to_publish()
    if not step.rewrite:
        refuse_changed_contract(target)
    with project.session() as session:
        with step.run.phase("make"):
            candidate = step.maker(session, target, partitions)
            staged = None if candidate.rows is None else stage(session, target, candidate, candidate.rows)
        with step.run.phase("judge"):
            judged = None if staged is None else judge(project, session, target, candidate, staged)
        results = [*candidate.results, *(judged.results if judged else [])]
        now, platform = datetime.now(UTC), PlatformTables(project.lake.root)
        with step.run.phase("publish"):
            if judged is not None:
                # quarantine is written before the publication: a crash in between repeats both, and loses neither
                held = quarantine_to_arrow(judged, contract, run_id=step.run_id, at=now)
                platform.replace_quarantine(contract.name, held, candidate.partitions, rewrite=step.rewrite)
            published = _publish(step, session, target, candidate, judged)
        with step.run.phase("record"):
            # after the commit: the verdicts of an overtaken attempt are about rows that nobody will see. Before the
            # record: a crash in between makes the slices, and their verdicts, again
            told = results_to_arrow(results, contract=contract, run_id=step.run_id, evaluated_at=now)
            platform.append_results(told)
            looks = looks_to_arrow(candidate.looks, contract, run_id=step.run_id, seen_at=now)
            platform.note(OPERATIONS, SOURCE_SCHEMAS, looks)
            if judged is not None:
                of = _to_profile(target, published)
                measured = profiles_to_arrow(judged.profiles, of, contract=contract, run_id=step.run_id, at=now)
                platform.append_profiles(measured)
            if judged is not None and published.revisions:
                _record(step, target, candidate, judged, published, now)
                outcome.preview = _preview(session, judged.good, contract)
    _track(step.run, target, candidate, judged, published)
    outcome.results += results
    outcome.version = published.version
    outcome.slices |= _outcomes(candidate, judged, published)


def _to_profile(target: Opened, published: _Published) -> dict[str, str]:
    """The published partitions whose profile is not yet kept, with their revisions."""
    before = target.state.slices
    decided = fingerprint(target.table.contract)
    return {
        partition: revision
        for partition, (_, revision) in published.revisions.items()
        if partition in published.changed or before[partition].contract != decided
    }


def _track(run: StepRun, target: Opened, candidate: Candidate, judged: Audit | None, published: _Published) -> None:
    """Notes what one chunk read, made and wrote; of an overtaken attempt nothing is noted but the time it took."""
    run.read(candidate.rows_in, sum(v.candidate_rows for v in judged.verdicts.values()) if judged else 0)
    run.version_read = published.seen if run.version_read is None else run.version_read
    run.input_versions = {table: opened.version for table, opened in candidate.opened.items()}
    if published.changed:
        run.version_written = published.version
        run.bytes_written += target.table.bytes_added(published.version)


def _preview(session: DuckDBSession, rows: ibis.Table, contract: Contract) -> list[dict[str, object]]:
    found = session.connection.sql(str(session.backend.compile(rows.limit(5)))).to_arrow_table().to_pylist()
    private = contract.private_columns
    return [
        {name: "•••" if name in private and value is not None else value for name, value in row.items()}
        for row in found
    ]


def refuse_changed_contract(target: Opened) -> None:
    """Raises RebuildNeededError, naming the command, when the contract changed in a way that asks for a rebuild."""
    published = target.state.shape
    changes = (
        [] if published is None else [c.text for c in classify(published, target.table.contract) if c.kind == "rebuild"]
    )
    if changes:
        contract = target.table.contract
        raise RebuildNeededError(
            f"{contract.full_name}: its contract changed on a populated table ({'; '.join(changes)}); "
            f"run `dataplatform rebuild {contract.name} --yes`, which rewrites rows and schema in one commit"
        )


@dataclass(frozen=True)
class _Published:
    version: int
    seen: int
    """The version that the target was opened at: a commit moves its handle on."""
    changed: frozenset[str] = frozenset()
    revisions: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    changes: Sequence[ChangeSet] = ()


def _publish(
    step: _Step, session: DuckDBSession, target: Opened, candidate: Candidate, judged: Audit | None
) -> _Published:
    contract, before, rewrite = step.contract, target.state.slices, step.rewrite
    good = [p for p, verdict in judged.verdicts.items() if not verdict.problems] if judged else []
    if rewrite:
        held = {p for p, entry in before.items() if entry.rows} | target.state.unknown
        _refuse_to_lose(contract, sorted(held - set(good)), candidate)
    if judged is None or not good:
        return _Published(target.version, target.version)
    found = session.fingerprints(judged.good, contract)
    revisions = {p: found.get(p, (0, EMPTY)) for p in good}
    changed = [p for p in good if rewrite or p not in before or before[p].revision != revisions[p][1]]
    changes: list[ChangeSet] = []
    version = seen = target.version
    if changed:
        if contract.dimension is not None and before and not rewrite:
            changes = [change_set(session, target, judged.good, contract, contract.dimension, revisions[good[0]][1])]
        rows = judged.good
        if len(changed) < len(good):
            rows = rows.filter(rows[contract.partition_column or ""].cast("string").isin(changed))
        batches, keys = session.batches(rows, contract), step.project.keys(contract)
        version = target.table.publish(target, batches, changed, run_id=step.run_id, keys=keys, rewrite=rewrite)
    return _Published(version, seen, frozenset(changed), revisions, changes)


def _refuse_to_lose(contract: Contract, lost: Sequence[str], candidate: Candidate) -> None:
    if lost:
        why = {**candidate.left, **candidate.refused, **candidate.unread}
        named = "; ".join(f"{p}: {why.get(p, 'breaks the contract')}" for p in sorted(lost)[:5])
        raise PermanentError(
            f"{contract.full_name}: a rebuild would lose {len(lost)} published partitions ({named}); "
            "nothing was changed"
        )


def _record(
    step: _Step, target: Opened, candidate: Candidate, judged: Audit, published: _Published, now: datetime
) -> None:
    """Soon after the commit. A crash before it makes the slices be made again, with equal rows."""
    project, contract, sequence = step.project, step.contract, time.time_ns()
    slices = {
        partition: Slice(
            revision=revision,
            rows=rows,
            quarantined=judged.verdicts[partition].quarantined_rows,
            version=published.version if partition in published.changed else published.seen,
            sequence=sequence,
            run_id=step.run_id,
            published_at=now.isoformat(timespec="seconds"),
            code=project.code_of(contract),
            contract=project.contract_of(contract),
            settings=project.settings_of(contract),
            inputs=candidate.inputs.get(partition, {}),
            source=candidate.sources.get(partition, {}),
        )
        for partition, (rows, revision) in published.revisions.items()
    }
    ordered = [ChangeSet((published.version, sequence), c.before, c.after, c.members) for c in published.changes]
    versions = target.housekeeping | ({published.version} if published.changed else frozenset())
    write_record(target.table.folder, Record(versions, slices, shape(contract), ordered))


def _outcomes(candidate: Candidate, judged: Audit | None, published: _Published) -> dict[str, SliceOutcome]:
    outcomes: dict[str, SliceOutcome] = {}
    for partition, reason in candidate.refused.items():
        outcomes[partition] = SliceOutcome(partition, "refused", problems=(reason,))
    for partition, reason in candidate.unread.items():
        outcomes[partition] = SliceOutcome(partition, "unread", problems=(reason,))
    for partition, reason in candidate.left.items():
        outcomes[partition] = SliceOutcome(partition, "left", warnings=(reason,))
    warned: dict[str, list[str]] = {}
    for result in candidate.results:
        if not result.passed and result.rule.severity is Severity.WARNING:
            warned.setdefault(result.partition, []).append(result.found)
    for partition, verdict in judged.verdicts.items() if judged else ():
        warnings = (*verdict.warnings, *warned.get(partition, ()))
        rows, revision = published.revisions.get(partition, (0, ""))
        status: Status = "failed"
        if partition in published.revisions:
            status = "published" if partition in published.changed else "unchanged"
        outcomes[partition] = SliceOutcome(
            partition, status, rows, verdict.quarantined_rows, revision, tuple(verdict.problems), warnings
        )
    return outcomes
