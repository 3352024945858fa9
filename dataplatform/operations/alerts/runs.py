"""What is wrong with Dagster's side now: runs that failed and nothing has made up for, ticks, daemons.

A failed run is an event; what is wrong is that its slices are still stale, or that the same work has not succeeded
since. So whatever makes them, in whatever way, ends the problem.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from dataplatform.assets.definition import asset_key, op_name
from dataplatform.contracts.model import WHOLE, Contract
from dataplatform.errors import PlatformError
from dataplatform.operations.alerts.problem import Kind, Problem, problem
from dataplatform.operations.alerts.tables import masked, table_problem
from dataplatform.operations.daily_checks import JOB as DAILY_CHECKS

if TYPE_CHECKING:
    from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick

    from dataplatform.planner.plan import Plan, SliceName
    from dataplatform.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
WHOLE_GRAPH = "__ASSET_JOB"
NEWEST_RUNS = 200
"""So many runs are looked through for the one that a slice was tried in last."""
RUN_MAY_TAKE = timedelta(hours=6)
"""A run that has been at work for longer proves nothing: its process may be gone."""
MOVING_FOR = timedelta(minutes=30)
"""After a run that succeeded, what is still stale is expected to follow for so long."""
_S = dg.DagsterRunStatus
_ENDED, _AT_WORK = [_S.SUCCESS, _S.FAILURE, _S.CANCELED], [_S.QUEUED, _S.NOT_STARTED, _S.STARTING, _S.STARTED]


@dataclass(frozen=True)
class Watched:
    """What the graph has besides tables: names of sensors, schedules and jobs."""

    instigators: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()

    @classmethod
    def of(cls, repository: dg.RepositoryDefinition, besides: str = "") -> Watched:
        """Everything in `repository`. The sensor that looks is alive, and leaves out its own last tick: `besides`."""
        names = {each.name for each in repository.sensor_defs} | {each.name for each in repository.schedule_defs}
        return cls(
            frozenset(names - {besides}), frozenset(name for name in repository.job_names if not name.startswith("__"))
        )


@dataclass
class FailedRuns:
    """Slices that were tried last in a run that failed, by run, and other work whose last run failed."""

    slices: dict[str, set[SliceName]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Asset that is no table -> run."""


def failed_runs(project: Project, instance: dg.DagsterInstance, plan: Plan) -> FailedRuns:
    """Looks from the newest run back: the first that was to make a slice decides about it."""
    found = FailedRuns()
    left = {table: set(slices) for table, slices in plan.stale.items()}
    seen: set[dg.AssetKey] = set()
    tables = {asset_key(contract): contract.name for contract in project.catalog}
    filters = dg.RunsFilter(job_name=WHOLE_GRAPH, statuses=_ENDED)
    for record in instance.get_run_records(filters, limit=NEWEST_RUNS):
        run = record.dagster_run
        selected = run.asset_selection or frozenset(tables)
        tried: set[SliceName] = set()
        for table in {tables[key] for key in selected & tables.keys()} & left.keys():
            partitions = {partition for partition in left[table] if _covers(run.tags, partition)}
            left[table] -= partitions
            tried |= {(table, partition) for partition in partitions}
        others = selected - tables.keys() - seen
        seen |= others
        if run.status is _S.FAILURE:
            if tried:
                found.slices[run.run_id] = tried
            found.others |= {key.to_user_string(): run.run_id for key in others}
    return found


def _covers(tags: Mapping[str, str], partition: str) -> bool:
    if partition == WHOLE:
        return True
    if PARTITION in tags:
        return tags[PARTITION] == partition
    return tags.get(RANGE_START, "") <= partition <= tags.get(RANGE_END, "")


def run_problems(
    project: Project, instance: dg.DagsterInstance, found: FailedRuns, explained: Collection[SliceName]
) -> Iterator[Problem]:
    """Tables whose own step failed, and runs that no step explains. `explained` slices have a problem already."""
    groups: dict[str, tuple[Contract, str, str, set[str]]] = {}
    for run_id, tried in found.slices.items():
        errors = step_errors(instance, run_id)
        unexplained = tried - set(explained)
        for table, partition in sorted(unexplained):
            contract = project.catalog.get(table)
            if op_name(contract) in errors:
                text = masked(contract, errors[op_name(contract)])
                groups.setdefault(table, (contract, run_id, text, set()))[3].add(partition)
        if not errors and unexplained:
            yield _run_failed(project, run_id, unexplained)
    for contract, run_id, text, partitions in groups.values():
        expected = "made without an error"
        yield table_problem(
            Kind.SLICE_FAILED, contract, sorted(partitions), expected=expected, found=text, run_id=run_id
        )
    for name, run_id in found.others.items():
        errors = step_errors(instance, run_id)
        text = errors.get(name.replace("/", "__")) or "; ".join(errors.values()) or _NO_STEP
        yield problem(Kind.RUN_FAILED, name, expected="the run ends well", found=text, run_id=run_id)


_NO_STEP = "no step failed by itself: the process ended, or could not start"


def _run_failed(project: Project, run_id: str, slices: Collection[SliceName]) -> Problem:
    """Told to the owner of its tables when they have but one."""
    contracts = [contract for contract in project.catalog if contract.name in {table for table, _ in slices}]
    owners = {contract.owner for contract in contracts}
    more = f" and {len(contracts) - 1} more" if len(contracts) > 1 else ""
    return problem(
        Kind.RUN_FAILED,
        f"run of {contracts[0].full_name}{more}",
        partitions=tuple(sorted({partition for _, partition in slices})),
        expected="the run ends well",
        found=_NO_STEP,
        owner=owners.pop() if len(owners) == 1 else "",
        run_id=run_id,
    )


def step_errors(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Step -> why it failed by itself. Of errors that are not the platform's own only the type is told.

    Their texts quote values (`Could not convert string 'a@b' to INT32`), and nobody knows which of them are private.
    """
    errors: dict[str, str] = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        data: Any = event.step_failure_data
        described = data.user_failure_data.description if data.user_failure_data else None
        errors[event.step_key] = described.splitlines()[0] if described else told_error(data.error)
    return errors


def told_error(error: Any) -> str:
    """What may be told of an error that Dagster has stored: of the platform's own their text, of others their type."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "it failed without a message"
    if error.cls_name in _own_errors(PlatformError):
        return str(error.message).strip().partition(": ")[2] or error.cls_name
    return f"{error.cls_name or 'an error'} was raised; its text is in Dagster's UI only, since it may quote values"


def _own_errors(base: type[Exception]) -> set[str]:
    return {base.__name__}.union(*(_own_errors(each) for each in base.__subclasses__()))


def is_moving(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether something is at work, or was a moment ago: then what is stale may still be about to be made."""
    at_work = dg.RunsFilter(statuses=_AT_WORK, created_after=now - RUN_MAY_TAKE)
    done = dg.RunsFilter(statuses=[_S.SUCCESS], updated_after=now - MOVING_FOR)
    return any(instance.get_runs_count(each) for each in (at_work, done))


def dagster_problems(instance: dg.DagsterInstance, watched: Watched, now: datetime) -> list[Problem]:
    """Jobs beside the graph whose last run failed, sensors and schedules whose last tick did, and dead daemons."""
    return [*_jobs(instance, watched), *_ticks(instance, watched), *_daemons(instance, now)]


def _jobs(instance: dg.DagsterInstance, watched: Watched) -> Iterator[Problem]:
    for name in sorted(watched.jobs):
        for run in instance.get_runs(dg.RunsFilter(job_name=name, statuses=_ENDED), limit=1):
            if run.status is _S.FAILURE and not _is_explained(instance, run):
                text = "; ".join(step_errors(instance, run.run_id).values()) or _NO_STEP
                yield problem(
                    Kind.RUN_FAILED, f"job {name}", expected="the run ends well", found=text, run_id=run.run_id
                )


def _is_explained(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """The daily checks fail when a key is held twice, of which the table's owner is told by the verdict."""
    return run.job_name == DAILY_CHECKS and any(
        entry.dagster_event is not None and entry.dagster_event.step_failure_data.user_failure_data is not None
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    )


def _ticks(instance: dg.DagsterInstance, watched: Watched) -> Iterator[Problem]:
    states = instance.all_instigator_state(
        instigator_statuses={InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE}
    )
    watched_states = [state for state in states if state.instigator_name in watched.instigators]
    for state in sorted(watched_states, key=lambda each: each.instigator_name):
        tick = _last_tick(instance, state)
        if tick is not None and tick.status is TickStatus.FAILURE:
            word = "schedule" if state.instigator_type is InstigatorType.SCHEDULE else "sensor"
            yield problem(
                Kind.TICK_FAILED,
                f"{word} {state.instigator_name}",
                expected="every tick ends well",
                found=told_error(tick.error),
            )


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState) -> InstigatorTick | None:
    """The last tick that has ended; the one at work at this moment says nothing yet."""
    ended: Sequence[TickStatus] = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=ended)
    return ticks[0] if ticks else None


def _daemons(instance: dg.DagsterInstance, now: datetime) -> Iterator[Problem]:
    """Daemons that were at work and no longer give a sign. `dataplatform up` takes its own back when it is stopped."""
    from dagster._daemon.controller import get_daemon_statuses

    required = instance.get_required_daemon_types()
    statuses = get_daemon_statuses(instance, required, now.timestamp(), ignore_errors=True)
    for name, status in sorted(statuses.items()):
        if status.last_heartbeat is not None and not status.healthy:
            last = datetime.fromtimestamp(status.last_heartbeat.timestamp, now.tzinfo)
            yield problem(
                Kind.DAEMON_DEAD,
                f"daemon {name}",
                expected="a sign of life every 30 s",
                found=f"none since {last:%Y-%m-%d %H:%M %Z}",
            )
