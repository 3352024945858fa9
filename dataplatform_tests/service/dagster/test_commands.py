"""The README's lines for Dagster's own commands bring a day, and a range of days, through everything."""

from __future__ import annotations

import dagster as dg
import pytest

from dataplatform.assets.definition import asset_key, check_kinds
from dataplatform.operations.instance import open_instance
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.project import Project
from dataplatform_tests.service.dagster.ledger_week import (
    DAYS,
    MONTH,
    LedgerWeek,
    columns,
    delivered,
    left_to_do,
    net_amount,
    published_rows,
)

pytestmark = pytest.mark.xdist_group("ledger week")


def tables_hold(project: Project, days: tuple[str, ...]) -> None:
    """What is published is what was delivered on `days`, by sums made without the platform."""
    lines = {day: delivered(day) for day in days}
    assert published_rows(project, "raw_ledger_sales_lines") == {day: len(of_day) for day, of_day in lines.items()}
    assert set(published_rows(project, "fact_sales")) == set(days)
    net = {str(day): amount for day, amount in columns(project, "daily_sales", "business_date", "net_amount")}
    assert net == {day: net_amount(day) for day in days}
    customers = {line["CustomerID"] for of_day in lines.values() for line in of_day} - {""}
    assert {str(number) for (number,) in columns(project, "customer_metrics", "customer_id")} == customers
    monthly = columns(project, "monthly_product_sales", "month_start_date", "net_amount")
    assert {str(month) for month, _ in monthly} == {MONTH}
    assert sum(amount for _, amount in monthly) == sum(map(net_amount, days))


def events_tell(project: Project, instance: dg.DagsterInstance) -> None:
    """Dagster's latest events say of each partition what the lake says, and report every kind of rule."""
    for contract in project.catalog:
        key, expected = asset_key(contract), published_rows(project, contract.name)
        records = instance.fetch_materializations(key, limit=99).records
        latest: dict[str, object] = {}
        for record in records:  # newest first
            event = record.asset_materialization
            assert event is not None
            name = "dagster/partition_row_count" if event.partition else "dagster/row_count"
            latest.setdefault(event.partition or "all", event.metadata[name].value)
        assert latest == expected
        checks = [dg.AssetCheckKey(key, kind.value) for kind in check_kinds(contract)]
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        assert set(found) == set(checks)
        for execution in found.values():
            evaluation = execution.event and execution.event.asset_check_evaluation
            assert evaluation
            assert evaluation.passed or evaluation.severity is dg.AssetCheckSeverity.WARN
    assert reconcile_events(project, instance) == 0


def test_a_range_of_days_goes_through_everything(three_days: LedgerWeek) -> None:
    project = three_days.project()
    tables_hold(project, DAYS[:-1])
    with open_instance(three_days.settings) as instance:
        events_tell(project, instance)
    assert left_to_do(project) == []


def test_a_new_day_goes_through_everything(four_days: LedgerWeek) -> None:
    project = four_days.project()
    tables_hold(project, DAYS)
    with open_instance(four_days.settings) as instance:
        events_tell(project, instance)
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
    assert left_to_do(project) == []
