"""What is checked once a day over whole tables: what a publication cannot see of others that happen at the same time.

A key that its slice does not prove is compared with the published rest of the table before it is published. Two runs
at once, each with a slice of its own, see nothing of each other, and may publish one key twice; so all keys of such
tables are counted again here. And what came into every step is compared with what came out of it, day by day. Verdicts
go to the history of rules, for partition `all`, and to the table's checks `keys` and `reconciliation` in Dagster.
`automation` says when; nothing is changed here.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's annotation by
value.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.assets.metadata import check_metadata
from dataplatform.contracts.model import Contract, RuleKind, Severity
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.operations.reconciliation import RECONCILIATION, difference_lines, evaluation, reconciled
from dataplatform.quality.history import results_to_arrow
from dataplatform.quality.keys import judge_whole, unproven_keys
from dataplatform.quality.report import checks_by_kind
from dataplatform.quality.results import RuleResult, Status
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    from dataplatform.project import Project

JOB = "daily_checks"


def daily_checks(
    project: "Project", *, run_id: str, select: Collection[str] | None = None
) -> dict[str, list[RuleResult]]:
    """Judges keys that no slice proves, and reconciles; of all tables, or those in `select`. Writes the verdicts down.

    Table name -> results; tables with nothing to judge, or never published, are not in it. One table's verdicts are of
    one moment: together they say what stands.
    """
    compared = reconciled(project)
    found = {
        contract.name: [
            *(_judged(project, contract) if unproven_keys(contract) else ()),
            *([compared[contract.name]] if contract.name in compared else ()),
        ]
        for contract in project.catalog
        if select is None or contract.name in select
    }
    at, platform = utc_now(), PlatformTables(project.lake.root)
    for table, results in found.items():
        if not results:
            continue
        contract = project.catalog.get(table)
        platform.append_results(results_to_arrow(results, contract=contract, run_id=run_id, evaluated_at=at))
    platform.commit_notes()
    return {table: results for table, results in found.items() if results}


def _judged(project: "Project", contract: Contract) -> list[RuleResult]:
    opened = project.lake.table(contract).open()
    if not opened.files:
        return []
    rules = unproven_keys(contract)
    columns = [*{name for rule in rules for name in rule.columns}, str(contract.partition_column)]
    with project.session() as session:
        rows = session.open(opened, None, columns)
        return [judge_whole(contract, rows, rule) for rule in rules]


def broken_lines(project: "Project", found: Mapping[str, Sequence[RuleResult]]) -> list[str]:
    """One line per key that is not unique, and per table that lost something, with what to do.

    Warnings of a contract are left to the history.
    """
    compared = {table: each for table, results in found.items() for each in results if each.rule.name == RECONCILIATION}
    return [
        f"{project.catalog.get(table).full_name}: {result}; find the runs that published them with `dataplatform query "
        f"\"SELECT * FROM operations.table_runs WHERE table_name = '{table}'\"`, "
        f"correct what was delivered twice, and run `dataplatform run`"
        for table, results in found.items()
        for result in results
        if result.rule.kind is RuleKind.KEYS
        and result.status is not Status.PASSED
        and result.rule.severity is Severity.ERROR
    ] + difference_lines(project, compared)


def build_daily_checks_job(project: "Project") -> dg.JobDefinition:
    """The job `daily_checks`: it fails, with one line each, when a key is held twice or something was lost."""

    @dg.op(name="whole_tables", description="Keys that no publication proves, and what came in against what is there.")
    def judge(context: dg.OpExecutionContext) -> None:
        current = project.current()
        found = daily_checks(current, run_id=context.run_id)
        for table, results in found.items():
            _report(context.instance, current.catalog.get(table), results)
            context.log.info("%s: %s", table, "; ".join(str(result) for result in results))
        if lines := broken_lines(current, found):
            raise dg.Failure(description="\n".join(lines), allow_retries=False)

    @dg.job(name=JOB, description="What is checked once a day over whole tables.", executor_def=dg.in_process_executor)
    def daily() -> None:
        judge()

    return daily


def _report(instance: dg.DagsterInstance, contract: Contract, results: Sequence[RuleResult]) -> None:
    """The verdict in the UI, where the verdict of each publication stands."""
    for result in results:
        if result.rule.name == RECONCILIATION:
            told = dg.AssetCheckEvaluation(
                asset_key=asset_key(contract), check_name=RECONCILIATION, **evaluation(result)
            )
            instance.report_runless_asset_event(told)
    for summary in checks_by_kind([result for result in results if result.rule.kind is RuleKind.KEYS]):
        error = summary.severity is Severity.ERROR
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=asset_key(contract),
                check_name=RuleKind.KEYS.value,
                passed=summary.passed,
                severity=dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN,
                description=f"whole table: {summary.headline}",
                metadata=check_metadata(summary),
            )
        )
