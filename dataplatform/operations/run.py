"""Bringing the lake up to date: plan, run one wave in Dagster, plan again, until nothing can be made any more.

This is what `dataplatform run` does. Every wave is an ordinary Dagster run on the ordinary instance, in this
process. What failed is not tried again within one call, and does not keep the rest from being made.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg

from dataplatform.assets.definition import REBUILD_TAG, asset_key, op_name
from dataplatform.assets.slices import Outcome
from dataplatform.contracts.model import WHOLE, Grain
from dataplatform.errors import PermanentError, SourceRefusedError, TransientError
from dataplatform.operations.interrupts import watch_interrupts
from dataplatform.operations.plan_text import hold_lines
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.operations.reconciliation import RECONCILIATION, difference_lines, reconciled
from dataplatform.planner.freshness import FRESHNESS_CHECK
from dataplatform.planner.plan import Plan, SliceName, StaleSlice, make_plan
from dataplatform.planner.renewal import renew_records
from dataplatform.planner.waves import Wave, next_wave

if TYPE_CHECKING:
    from dataplatform.assets.definition import OnOutcome
    from dataplatform.project import Project

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
MOST_ATTEMPTS = 3
"""How often one call makes a slice: once, and again when an input moved meanwhile."""
_STANDING = (FRESHNESS_CHECK, RECONCILIATION)
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Build = Callable[["Project", "OnOutcome"], dg.Definitions]
"""Assembles the definitions of a project; `dataplatform.build.build_definitions` is the one there is."""


class RunReporter(Protocol):
    """Told what happens, for people who watch."""

    def wave_started(self, wave: Wave) -> None: ...

    def table_finished(self, table: str, outcome: Outcome) -> None: ...

    def wave_finished(self, result: WaveResult) -> None: ...


@dataclass(frozen=True, slots=True)
class WaveResult:
    """One Dagster run: its tables, partitions (or nothing), success, and seconds."""

    tables: tuple[str, ...]
    title: str
    run_id: str
    success: bool
    seconds: float


@dataclass
class RunSummary:
    """What one call did. `failed` has one line per table, partition and reason."""

    waves: list[WaveResult] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reconciled: int = 0

    @property
    def exit_code(self) -> int:
        return 1 if self.failed else 0


class Silent:
    """A reporter that says nothing."""

    def wave_started(self, wave: Wave) -> None: ...

    def table_finished(self, table: str, outcome: Outcome) -> None: ...

    def wave_finished(self, result: WaveResult) -> None: ...


def run_stale(
    project: Project,
    build: Build,
    instance: dg.DagsterInstance,
    *,
    select: Collection[str] | None = None,
    first: str = "",
    last: str = "9999",
    force: Collection[SliceName] = (),
    report: RunReporter | None = None,
) -> RunSummary:
    """Makes everything stale or missing, and the slices in `force` whatever their state.

    Tables in `select` (all when None), partitions in [first, last]. Then brings the serving layer and Dagster's own
    record up to date. Raises nothing for failed slices: they are in the summary, and its exit code is 1. Ctrl-C ends
    it with KeyboardInterrupt; what was published until then stays.
    """
    with watch_interrupts() as interrupted:
        runner = _Runner(project, build, instance, report or Silent(), interrupted)
        return runner.run(select, first, last, set(force))


def rebuild(
    project: Project, build: Build, instance: dg.DagsterInstance, table: str, report: RunReporter | None = None
) -> RunSummary:
    """Rewrites a table, rows and schema, in one commit; what reads it is stale afterwards. Raises HeldError."""
    contract = project.catalog.get(table)
    project.lake.table(contract).open().refuse_held()
    keys = tuple(project.keys(contract))
    with watch_interrupts() as interrupted:
        runner = _Runner(project, build, instance, report or Silent(), interrupted)
        runner.run_wave(Wave((contract.name,), contract.grain, keys), {REBUILD_TAG: contract.name})
        return runner.summary


class _Runner:
    def __init__(
        self,
        project: Project,
        build: Build,
        instance: dg.DagsterInstance,
        report: RunReporter,
        interrupted: Callable[[], bool],
    ) -> None:
        self.project, self.instance, self.report, self._interrupted = project, instance, report, interrupted
        self.summary = RunSummary()
        self.failed: set[SliceName] = set()
        self.attempts: Counter[SliceName] = Counter()
        self.ran: frozenset[str] = frozenset()
        """The tables of the last wave whose step ran; those after a failed one did not."""
        self._definitions = build(project, self._finished)

    def _finished(self, outcome: Outcome) -> None:
        self.summary.outcomes.append(outcome)
        self.report.table_finished(outcome.table, outcome)
        if self._interrupted():
            raise KeyboardInterrupt

    def run(self, select: Collection[str] | None, first: str, last: str, force: set[SliceName]) -> RunSummary:
        while True:
            plan = make_plan(self.project, select=select, first=first, last=last, failed=self.failed)
            if self._give_up(plan):
                continue
            renew_records(self.project, plan)
            _add_forced(self.project, plan, force)
            wave = next_wave(self.project, plan)
            if wave is None:
                break
            self.run_wave(wave)
            made = {(table, p) for table in self.ran for p in self._partitions(table, wave)}
            force -= made
            self.attempts.update(made)
        for table, reasons in plan.refused.items():
            self.summary.failed.append(
                f"{table}: its contract changed ({'; '.join(reasons)}); run `dataplatform rebuild {table} --yes`"
            )
        self.summary.warnings += hold_lines(self.project, plan)
        self._note_deliveries(plan, select)
        if select is None:
            self._serve()
        if self.summary.outcomes:
            self._note_differences()
        self.summary.reconciled = reconcile_events(self.project, self.instance)
        return self.summary

    def _note_deliveries(self, plan: Plan, select: Collection[str] | None) -> None:
        """What sources did not give, and what lies with them that nobody asked for."""
        for table, why in plan.down.items():
            self.summary.failed.append(f"{self.project.catalog.get(table).full_name}: {why}")
        for table, partitions in plan.missing_files.items():
            self.summary.warnings.append(f"{table}: file_missing on open days: {_first_five(partitions)}")
        for table, waits in plan.awaiting.items():
            self.summary.warnings.append(f"{table}: awaiting_marker, not read yet: {_first_five(list(waits))}")
        for contract in self.project.catalog:
            asked = contract.source is not None and contract.name not in plan.down
            if asked and (select is None or contract.name in select):
                with suppress(SourceRefusedError, TransientError):  # it went down since: the next plan says so
                    self.summary.warnings += [f"{contract.name}: {w}" for w in self.project.source(contract).strays()]

    def _note_differences(self) -> None:
        """Rows and amounts that came into what was made here and are nowhere. Unreadable files are told elsewhere."""
        import duckdb

        made: dict[str, set[str]] = {}
        for outcome in self.summary.outcomes:
            made.setdefault(outcome.table, set()).update(slice_.partition for slice_ in outcome.published)
        with suppress(duckdb.Error, OSError):
            self.summary.failed += difference_lines(self.project, reconciled(self.project, made))

    def _partitions(self, table: str, wave: Wave) -> tuple[str, ...]:
        return wave.partitions if self.project.catalog.get(table).is_partitioned else (WHOLE,)

    def _give_up(self, plan: Plan) -> bool:
        """Whether slices are stale however often they were made: an error of ours, which must not loop for ever."""
        tired = [s for s in plan.slices() if self.attempts[s.table, s.partition] >= MOST_ATTEMPTS]
        for slice_ in tired:
            self.failed.add((slice_.table, slice_.partition))
            self.summary.failed.append(
                f"{slice_.table} {slice_.partition}: made {MOST_ATTEMPTS} times and stale again ({slice_.reason})"
            )
        return bool(tired)

    def run_wave(self, wave: Wave, tags: dict[str, str] | None = None) -> WaveResult:
        """Runs one wave in this process and notes which of its slices failed and why."""
        self.report.wave_started(wave)
        before = len(self.summary.outcomes)
        keys = [asset_key(self.project.catalog.get(table)) for table in wave.tables]
        ranged = {} if wave.grain is Grain.NONE else {RANGE_START: wave.first, RANGE_END: wave.last}
        result, seconds = self._execute(keys, {**ranged, **(tags or {})})
        outcomes = {o.table: o for o in self.summary.outcomes[before:]}
        errors = step_errors(result)
        self.ran = frozenset(t for t in wave.tables if t in outcomes or op_name(self.project.catalog.get(t)) in errors)
        for table in wave.tables:
            contract = self.project.catalog.get(table)
            outcome, error = outcomes.get(table), errors.get(op_name(contract))
            if outcome is not None:
                self.summary.warnings += [outcome.untold] if outcome.untold else []
                for slice_ in outcome.failed:
                    self.failed.add((table, slice_.partition))
                    self.summary.failed.append(f"{contract.full_name} {slice_.partition}: {'; '.join(slice_.problems)}")
                self.failed |= {(table, s.partition) for s in outcome.slices.values() if s.status == "left"}
                self.summary.warnings += [
                    f"{contract.full_name} {s.partition}: {w}" for s in outcome.slices.values() for w in s.warnings
                ]
            if error is not None and not (outcome and outcome.failed):
                self.failed |= {(table, p) for p in self._partitions(table, wave)}
                self.summary.failed.append(f"{contract.full_name} {wave.title}: {error}")
        if not result.success and not errors:
            self.failed |= {(table, p) for table in wave.tables for p in self._partitions(table, wave)}
            self.summary.failed.append(_unexplained(wave, result))
        finished = WaveResult(wave.tables, wave.title, result.run_id, result.success, seconds)
        self.summary.waves.append(finished)
        self.report.wave_finished(finished)
        return finished

    def _execute(self, keys: list[dg.AssetKey], tags: dict[str, str]) -> tuple[dg.ExecuteInProcessResult, float]:
        started = time.perf_counter()
        graph, job = self._definitions.resolve_asset_graph(), self._definitions.resolve_implicit_global_asset_job_def()
        # freshness is judged by its sensor, and reconciliation over all waves: steps for them would cost 0.1 s a run
        checks = frozenset(k for k in graph.asset_check_keys if k.asset_key in keys and k.name not in _STANDING)
        try:
            result = job.get_subset(asset_selection=frozenset(keys), asset_check_selection=checks).execute_in_process(
                run_config=_QUIET, instance=self.instance, tags=tags, raise_on_error=False
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        if self._interrupted():
            raise KeyboardInterrupt
        return result, time.perf_counter() - started

    def _serve(self) -> None:
        """Warehouse and report, when what they were made from has changed."""
        from dataplatform.reports.sales import report_stale
        from dataplatform.warehouse.store import Warehouse

        graph = self._definitions.resolve_asset_graph()
        if not graph.has(dg.AssetKey(["serving", "warehouse"])):
            return
        if not (Warehouse(self.project).stale() or report_stale(self.project)):
            return
        wave = Wave(("warehouse", "sales_report"), Grain.NONE, (WHOLE,))
        self.report.wave_started(wave)
        keys = [dg.AssetKey(["serving", name]) for name in wave.tables]
        result, seconds = self._execute(keys, {})
        errors = step_errors(result)
        self.summary.failed += [f"serving {step}: {error}" for step, error in errors.items()]
        if not result.success and not errors:
            self.summary.failed.append(_unexplained(wave, result))
        finished = WaveResult(wave.tables, "", result.run_id, result.success, seconds)
        self.summary.waves.append(finished)
        self.report.wave_finished(finished)


def _first_five(partitions: Sequence[str]) -> str:
    return ", ".join(partitions[:5]) + (f" and {len(partitions) - 5} more" if len(partitions) > 5 else "")


def _unexplained(wave: Wave, result: dg.ExecuteInProcessResult) -> str:
    return f"{', '.join(wave.tables)} {wave.title}: run {result.run_id} did not end well; Dagster's UI shows its events"


def _add_forced(project: Project, plan: Plan, force: Collection[SliceName]) -> None:
    for table, partition in sorted(force):
        contract = project.catalog.get(table)
        slices = plan.stale.setdefault(contract.name, {})
        slices.setdefault(partition, StaleSlice(contract.name, partition, "asked for", certain=True))
    plan.stale = {c.name: plan.stale[c.name] for c in project.catalog if c.name in plan.stale}


def step_errors(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Step name -> what went wrong, for the steps of a run that failed by themselves."""
    errors: dict[str, str] = {}
    for event in result.all_events:
        if event.is_step_failure and event.step_key is not None:
            data: Any = event.step_failure_data
            cause = data.error
            while cause is not None and cause.cause is not None:
                cause = cause.cause
            described = data.user_failure_data.description if data.user_failure_data else None
            errors[event.step_key] = described or (cause.message.strip() if cause else "failed without a message")
    return errors


def forced_slices(project: Project, table: str, partitions: Collection[str]) -> set[SliceName]:
    """`(table, partition)` pairs for `force`; PermanentError names partitions that the table cannot have.

    Raises HeldError when the table is held.
    """
    contract = project.catalog.get(table)
    project.lake.table(contract).open().refuse_held()
    unknown = sorted(set(partitions) - set(project.keys(contract)))
    if unknown:
        raise PermanentError(f"{contract.full_name} has no partition {', '.join(unknown)}")
    return {(contract.name, partition) for partition in partitions}
