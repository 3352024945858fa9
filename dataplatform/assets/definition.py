"""A table as a Dagster asset: key, dependencies, partitions, checks and metadata, all derived from its contract.

The asset judges and publishes (`slices.py`) before it yields anything to Dagster: checks are yielded first, then
the output, or a Failure that has one line per partition that was not published.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's annotation by
value, and fails on a text inside a nested function.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.assets.failing import STEP_RETRIES, failing_well
from dataplatform.assets.metadata import check_metadata, definition_metadata, partition_metadata, run_metadata
from dataplatform.assets.slices import Outcome, make_slices
from dataplatform.contracts.model import WHOLE, Contract, Grain, Input, RuleKind, Severity
from dataplatform.quality.report import checks_by_kind

if TYPE_CHECKING:
    from dataplatform.project import Project

OnOutcome = Callable[[Outcome], None]


def ignore_outcome(_outcome: Outcome) -> None:
    """Nobody watches."""


REBUILD_TAG = "dataplatform/rebuild"
"""Run tag under which the whole table is rewritten, rows and schema, in one commit."""
TURN = "turn"
"""The resource that a run which nobody started by hand waits for, and that ends it when it is not needed any more."""
PARTITIONING_TAG = "partitioning"
"""Asset tag with the table's grain, day, month or none: what one `--partition` can select together."""
DATA_VERSION_TAG, CODE_VERSION_TAG = "dagster/data_version", "dagster/code_version"


def asset_key(contract: Contract) -> dg.AssetKey:
    """`[layer, table]`, in every profile."""
    return dg.AssetKey([contract.layer.value, contract.name])


def op_name(contract: Contract) -> str:
    """The step's name in Dagster: `layer__table`."""
    return f"{contract.layer}__{contract.name}"


@contextmanager
def beta_accepted() -> Iterator[None]:
    """Silences Dagster's notes on what it calls beta and we use: data versions, links to code, range policies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def build_assets(project: "Project", on_outcome: OnOutcome = ignore_outcome) -> list[dg.AssetsDefinition]:
    """One asset per contract. `on_outcome` is told of every finished step, for progress."""
    partitions = {grain: _partitions(project, grain) for grain in Grain}
    with beta_accepted():
        return [_asset(project, contract, partitions[contract.grain], on_outcome) for contract in project.catalog]


def _partitions(project: "Project", grain: Grain) -> dg.PartitionsDefinition[str] | None:
    """Days and months of the platform: up to today (hence the offset), and to the end date when one is set."""
    settings, end = project.settings, project.settings.end_date
    if grain is Grain.NONE:
        return None
    zone, first = settings.business_zone, settings.start_date.isoformat()
    if grain is Grain.DAY:
        day_after = None if end is None else _day_after(end.isoformat())
        return dg.DailyPartitionsDefinition(first, day_after, timezone=zone, end_offset=1)
    month_after = None if end is None else _month_after(end.isoformat())
    return dg.MonthlyPartitionsDefinition(f"{first[:7]}-01", month_after, timezone=zone, end_offset=1)


def _day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _month_after(month: str) -> str:
    year, number = int(month[:4]), int(month[5:7])
    return f"{year + number // 12}-{number % 12 + 1:02d}-01"


_LONGEST = {Grain.DAY: timedelta(hours=25), Grain.MONTH: timedelta(days=31), Grain.NONE: timedelta(hours=25)}


def _freshness_policy(project: "Project", contract: Contract) -> dg.FreshnessPolicy | None:
    """By the time of the last materialization, which is all that Dagster's policy sees.

    Closed days are materialized, too: when all is well no gap is longer than one partition and the latency. None with
    an end date: what is complete is not made again, and Dagster would call it failed for ever.
    """
    latency = contract.latency
    if latency is None or project.settings.end_date is not None:
        return None
    longest = _LONGEST[contract.grain]
    warn = longest + (latency.warning or latency.duration * 0.95)
    return dg.FreshnessPolicy.time_window(fail_window=longest + latency.duration, warn_window=warn)


def check_kinds(contract: Contract) -> list[RuleKind]:
    """The asset checks a table has: one per kind of rule."""
    kinds = {rule.kind for rule in contract.rules}
    if contract.source is not None and contract.source.get("kind") == "landing":
        kinds.add(RuleKind.DELIVERY)
    if contract.row_preserving or contract.layer in ("raw", "cleaned"):
        kinds.add(RuleKind.ROWS)
    return [kind for kind in RuleKind if kind in kinds]


def _dependencies(project: "Project", contract: Contract) -> list[dg.AssetDep]:
    """Inputs with their windows, and tables that a relationship points at: those must be there to be compared."""
    by_table: dict[str, list[Input]] = {}
    for wanted in contract.inputs:
        by_table.setdefault(wanted.table, []).append(wanted)
    deps = [
        dg.AssetDep(asset_key(upstream), partition_mapping=_mapping(project, contract, upstream, inputs))
        for table, inputs in by_table.items()
        for upstream in [project.catalog.get(table)]
    ]
    for table in sorted(contract.references - set(by_table)):
        upstream = project.catalog.get(table)
        deps.append(dg.AssetDep(asset_key(upstream), partition_mapping=_mapping(project, contract, upstream, [])))
    return deps


def _mapping(
    project: "Project", contract: Contract, upstream: Contract, inputs: Sequence[Input]
) -> dg.PartitionMapping | None:
    if not contract.is_partitioned or not upstream.is_partitioned:
        return None
    offsets = {"same": (0, 0), "previous": (-1, -1)}
    if upstream is contract:  # of itself Dagster admits earlier partitions alone, and by their number
        offsets["before"] = (-len(project.keys(contract)), -1)
    windows = [offsets.get(w.kind, (-w.back, w.ahead)) for w in (wanted.window for wanted in inputs)]
    if not windows or any(wanted.window.kind not in (*offsets, "range") for wanted in inputs):
        return dg.AllPartitionMapping()
    starts, ends = zip(*windows, strict=True)
    # windows are cut where the platform's days end: the last month may have no days after the end date
    return dg.TimeWindowPartitionMapping(min(starts), max(ends), allow_nonexistent_upstream_partitions=True)


def _asset(
    project: "Project", contract: Contract, partitions: dg.PartitionsDefinition[str] | None, on_outcome: OnOutcome
) -> dg.AssetsDefinition:
    key, kinds = asset_key(contract), check_kinds(contract)
    function = project.functions.get(contract.name)

    @dg.asset(
        key=key,
        deps=_dependencies(project, contract),
        partitions_def=partitions,
        group_name=contract.layer.value,
        description=contract.description,
        owners=[contract.owner],
        kinds={"delta", "duckdb" if function is None or function.kind == "ibis" else function.kind},
        tags={PARTITIONING_TAG: contract.grain.value, **{f"dataplatform/{tag}": "" for tag in contract.tags}},
        metadata=definition_metadata(project, contract),
        code_version=project.version_of(contract),
        check_specs=[
            dg.AssetCheckSpec(kind.value, asset=key, description=f"{_CHECKS[kind]} {_JUDGED}") for kind in kinds
        ],
        op_tags={"dataplatform/table": contract.full_name},
        io_manager_key="lake_io_manager",
        required_resource_keys={TURN},
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=_freshness_policy(project, contract),
        retry_policy=STEP_RETRIES,
        output_required=False,
    )
    def table(context: dg.AssetExecutionContext) -> Iterator[Any]:
        requested = list(context.partition_keys) if contract.is_partitioned else [WHOLE]
        rewrite = context.run.tags.get(REBUILD_TAG) == contract.name
        with failing_well():
            outcome = make_slices(project.current(), contract, requested, run_id=context.run.run_id, rewrite=rewrite)
        on_outcome(outcome)
        if outcome.untold:
            context.log.warning(outcome.untold)
        yield from _check_results(kinds, outcome)
        yield from _events(context, project, contract, outcome)

    return table


_JUDGED = "Judged before anything is published; an error leaves the old rows in place."
_CHECKS = {
    RuleKind.DELIVERY: "What was delivered can be read and is what was agreed.",
    RuleKind.ROWS: "Each row keeps the contract's promises; in raw and cleaned, rows that do not are quarantined.",
    RuleKind.KEYS: "Keys are unique.",
    RuleKind.RELATIONSHIPS: "Every reference points at a row that is there.",
    RuleKind.TABLE: "Counts, shares and sums of each partition are as promised.",
    RuleKind.EXPECTATIONS: "Great Expectations rules that the contract hands over.",
    RuleKind.ANOMALIES: "Each day is as the days before it lead to expect.",
}


def _check_results(kinds: Sequence[RuleKind], outcome: Outcome) -> Iterator[dg.AssetCheckResult]:
    summaries = {summary.kind: summary for summary in checks_by_kind(outcome.results)}
    for kind in kinds:
        summary = summaries.get(kind)
        if summary is None:
            yield dg.AssetCheckResult(check_name=kind.value, passed=True, description="no rows to judge")
            continue
        error = summary.severity is Severity.ERROR
        yield dg.AssetCheckResult(
            check_name=kind.value,
            passed=summary.passed,
            severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
            description=summary.headline if summary.passed else f"{summary.headline}. {summary.worst}",
            metadata=check_metadata(summary),
        )


def _events(
    context: dg.AssetExecutionContext, project: "Project", contract: Contract, outcome: Outcome
) -> Iterator[dg.Output[Outcome]]:
    """The output when every requested partition is published; else an event for each that is, and a Failure."""
    if len(outcome.published) == len(outcome.slices):
        details = run_metadata(project, contract, outcome)
        newest = outcome.published[-1]
        for slice_ in outcome.published if contract.is_partitioned else ():
            context.add_asset_metadata(partition_metadata(slice_), asset_key(contract), slice_.partition)
        if contract.is_partitioned:
            # heavy entries go to the newest partition alone: Dagster copies an output's metadata to each
            context.add_asset_metadata(details, asset_key(contract), newest.partition)
            details = {}
        else:
            details |= partition_metadata(newest)
        version = newest.revision if len(outcome.published) == 1 else f"run:{context.run.run_id}"
        with beta_accepted():
            output = dg.Output(outcome, metadata=details, data_version=dg.DataVersion(version))
        yield output
        return
    for slice_ in outcome.published:
        tags = {DATA_VERSION_TAG: slice_.revision, CODE_VERSION_TAG: project.version_of(contract)}
        context.log_event(
            dg.AssetMaterialization(
                asset_key(contract), partition=slice_.partition, metadata=partition_metadata(slice_), tags=tags
            )
        )
    for slice_ in outcome.slices.values():
        if slice_.status == "left":
            context.log.warning("%s %s: %s", contract.full_name, slice_.partition, "; ".join(slice_.warnings))
    if outcome.failed:
        lines = [f"{contract.full_name} {s.partition}: {'; '.join(s.problems)}" for s in outcome.failed]
        kept = "what was published before stays; " if len(lines) > 1 else "its published rows stay as they were; "
        advice = f"{kept}see `dataplatform check {contract.name}` and `dataplatform quarantine show {contract.name}`"
        raise dg.Failure(description="\n".join([*lines, advice]), allow_retries=False)
    context.log.warning("%s: what reads it waits for another run, which `dataplatform run` starts", contract.full_name)
