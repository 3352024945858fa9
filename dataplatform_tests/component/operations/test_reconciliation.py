"""What came in is published or in quarantine, day by day, from landing to aggregate; and what is lost is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from dataplatform.assets.definition import asset_key
from dataplatform.assets.slices import make_slices
from dataplatform.build import build_definitions
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.operations.alerts.problem import Kind
from dataplatform.operations.alerts.tables import rule_problems
from dataplatform.operations.alerts.verdicts import standing_verdicts
from dataplatform.operations.daily_checks import JOB, broken_lines, daily_checks
from dataplatform.operations.edit_partitions import empty_slices
from dataplatform.operations.reconciliation import RECONCILIATION, reconciled
from dataplatform.project import Project
from dataplatform.serving.query import run_query
from dataplatform.settings import Settings
from dataplatform_tests import shop, small_shop
from dataplatform_tests.in_dagster import QUIET
from dataplatform_tests.small_shop import DAYS

LANDING, ORDERS, FACTS, DAILY = (
    "landing -> raw_shop_orders",
    "raw_shop_orders -> orders",
    "orders -> fact_orders",
    "fact_orders -> daily_orders",
)
RECONCILES = [
    {"column": "order_count", "with": "fact_orders"},
    {"column": "total_amount", "with": "fact_orders", "sum": "order_amount"},
]
CHAIN = {(LANDING, "rows"), (ORDERS, "rows"), (FACTS, "rows"), (DAILY, "order_count"), (DAILY, "total_amount")}


def make_shop(folder: Path, **changes: Any) -> Settings:
    """The small shop, whose aggregate is reconciled."""
    settings = small_shop.make_shop(folder)
    shop.shop_tables(folder, daily_orders={"custom": {"physical": "none", "reconciles": RECONCILES}}, **changes)
    return settings


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Four delivered days, of which two have a row that is quarantined; the last one is closed."""
    source = {**shop.SOURCE, "closed": {"ranges": ["01-06/01-06"]}}
    made = Project.load(make_shop(tmp_path, raw_shop_orders={"custom": {"source": source, "quarantineShare": 0.5}}))
    shop.settle(made)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def ask(project: Project, sql: str) -> list[tuple[Any, ...]]:
    with run_query(project.settings, project.catalog, sql) as answer:
        return [tuple(row.values()) for batch in answer.batches() for row in batch.to_pylist()]


def of(project: Project, step: str, day: str, measure: str = "rows") -> tuple[Any, ...]:
    """Amount in, amount out, quarantined, difference; is published, is behind, differs."""
    amounts = "amount_in::DOUBLE, amount_out::DOUBLE, quarantined, difference::DOUBLE"
    (row,) = ask(
        project,
        f"SELECT {amounts}, is_published, is_behind, differs FROM operations.reconciliation "
        f"WHERE step = '{step}' AND partition = '{day}' AND measure = '{measure}'",
    )
    return row


def redeliver(project: Project, day: str, orders: Sequence[small_shop.Order]) -> None:
    small_shop.deliver(project.settings.tables_dir.parent, {day: orders})
    shop.settle(project)


def drop_a_row(project: Project, table: str, day: str) -> None:
    """What nobody's run does: a file that has one row fewer than was published."""
    (path,) = project.lake.table(project.catalog.get(table)).folder.glob(f"*={day}/*.parquet")
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)


def test_the_relation_has_its_columns_before_anything_was_published(tmp_path: Path) -> None:
    project = Project.load(make_shop(tmp_path))
    assert ask(project, "SELECT * FROM operations.reconciliation") == []
    described = {name: kind for name, kind, *_ in ask(project, "DESCRIBE operations.reconciliation")}
    assert described == {
        **dict.fromkeys(("step", "layer", "table_name", "partition", "measure"), "VARCHAR"),
        **dict.fromkeys(("amount_in", "amount_out", "difference"), "DECIMAL(38,3)"),
        "quarantined": "BIGINT",
        **dict.fromkeys(("is_published", "is_behind", "differs"), "BOOLEAN"),
    }


def test_every_step_of_every_day_is_there_and_nothing_differs(project: Project) -> None:
    found = ask(project, "SELECT step, measure, partition, difference FROM operations.reconciliation")
    assert {(step, measure) for step, measure, *_ in found} == CHAIN
    assert {partition for _, _, partition, _ in found} == {*DAYS[:4], DAYS[5]}
    assert len(found) == len(CHAIN) * 5
    assert {difference for *_, difference in found} == {0}
    assert not ask(project, "SELECT 1 FROM operations.reconciliation WHERE differs OR is_behind OR NOT is_published")


def test_a_quarantined_row_is_accounted_for_and_goes_no_further(project: Project) -> None:
    assert of(project, LANDING, DAYS[0]) == (3, 3, 0, 0, True, False, False)
    assert of(project, ORDERS, DAYS[0]) == (3, 2, 1, 0, True, False, False)
    assert of(project, FACTS, DAYS[0]) == (2, 2, 0, 0, True, False, False)
    assert of(project, DAILY, DAYS[0], "total_amount") == (3.75, 3.75, 0, 0, True, False, False)


def test_a_record_that_the_reader_could_not_split_is_accounted_for(project: Project) -> None:
    path = small_shop.file_of(project.settings.tables_dir.parent, DAYS[1])
    path.write_text(path.read_text(encoding="utf-8") + '"23","8"\n', encoding="utf-8")
    shop.settle(project)
    assert of(project, LANDING, DAYS[1]) == (3, 2, 1, 0, True, False, False)


def test_a_corrected_day_is_compared_with_its_new_rows(project: Project) -> None:
    redeliver(project, DAYS[2], [("31", "7", "ES", "12"), ("32", "9", "DE", "4"), ("33", "9", "DE", "3")])
    assert of(project, ORDERS, DAYS[2]) == (3, 3, 0, 0, True, False, False)
    assert of(project, DAILY, DAYS[2], "total_amount") == (19, 19, 0, 0, True, False, False)


def test_a_closed_day_has_nothing_in_and_nothing_out(project: Project) -> None:
    assert of(project, LANDING, DAYS[5]) == (0, 0, 0, 0, True, False, False)
    assert of(project, DAILY, DAYS[5], "order_count") == (0, 0, 0, 0, True, False, False)


def test_a_blocked_day_shows_everything_after_it_as_behind_and_fails_no_check(project: Project) -> None:
    redeliver(project, DAYS[1], [("21", "8", "FR", "x"), ("22", "8", "FR", "y"), ("23", "8", "FR", "1")])
    assert of(project, LANDING, DAYS[1]) == (3, 3, 0, 0, True, False, False)
    assert of(project, ORDERS, DAYS[1]) == (3, 2, 0, 1, True, True, False), "as it was, from two rows"
    assert of(project, FACTS, DAYS[1]) == (2, 2, 0, 0, True, True, False)
    assert of(project, DAILY, DAYS[1], "total_amount") == (7.125, 7.125, 0, 0, True, True, False)
    verdicts = reconciled(project)
    assert all(result.passed for result in verdicts.values())
    assert verdicts["daily_orders"].found == "no difference in 10 comparisons; 2 behind what they are made from"


def test_a_day_that_was_never_published_is_there_and_behind(project: Project) -> None:
    redeliver(project, DAYS[4], [("51", "8", "FR", "x"), ("52", "8", "FR", "y"), ("53", "8", "FR", "1")])
    assert of(project, ORDERS, DAYS[4]) == (3, None, None, None, False, True, False)
    assert of(project, DAILY, DAYS[4], "order_count") == (None, None, None, None, False, True, False)


def test_a_refused_file_leaves_its_day_behind(project: Project) -> None:
    small_shop.file_of(project.settings.tables_dir.parent, DAYS[3]).write_text("other,columns\n1,2\n", encoding="utf-8")
    shop.settle(project)
    assert of(project, LANDING, DAYS[3]) == (3, 3, 0, 0, True, True, False)
    assert of(project, DAILY, DAYS[3], "order_count")[-2:] == (True, False)


def test_a_day_that_was_emptied_by_name_owes_nothing(project: Project, instance: dg.DagsterInstance) -> None:
    empty_slices(project, project.catalog.get("orders"), [DAYS[3]], instance)
    shop.settle(project)
    assert of(project, ORDERS, DAYS[3]) == (None, 0, 0, None, True, False, False)
    assert of(project, DAILY, DAYS[3], "order_count") == (0, 0, 0, 0, True, False, False)


def test_a_row_that_is_dropped_from_a_file_differs_on_both_sides_and_is_told_with_day_and_amount(
    project: Project, instance: dg.DagsterInstance
) -> None:
    drop_a_row(project, "fact_orders", DAYS[2])
    assert of(project, FACTS, DAYS[2]) == (2, 1, 0, 1, True, False, True)
    assert of(project, DAILY, DAYS[2], "order_count") == (1, 2, 0, -1, True, False, True)
    found = daily_checks(project, run_id="night")
    facts, aggregate = broken_lines(project, found)
    assert facts.startswith(
        "dimensional.fact_orders: reconciliation: expected all that came in, published or quarantined, found 1 of 5 "
        "comparisons differ: 2011-01-03 rows (orders -> fact_orders): 2 in, 1 out, difference 1; "
    )
    assert "2011-01-03 total_amount (fact_orders -> daily_orders): 4 in, 14 out, difference -10" in aggregate
    assert not run_job(project, instance).success
    assert check(project, instance, "fact_orders") == (False, dg.AssetCheckSeverity.ERROR)
    assert check(project, instance, "orders") == (True, dg.AssetCheckSeverity.ERROR)


def test_a_file_that_lost_rows_of_a_raw_table_differs_from_what_was_delivered(project: Project) -> None:
    drop_a_row(project, "raw_shop_orders", DAYS[3])
    assert of(project, LANDING, DAYS[3]) == (3, 2, 0, 1, True, False, True)


def test_the_job_passes_when_nothing_is_lost_and_the_verdicts_are_kept(
    project: Project, instance: dg.DagsterInstance
) -> None:
    assert run_job(project, instance).success
    assert check(project, instance, "daily_orders")[0]
    PlatformTables(project.lake.root).commit_notes()
    sql = "SELECT table_name, status FROM quality.rule_results WHERE rule = 'reconciliation' AND partition = 'all'"
    tables = ("raw_shop_orders", "orders", "fact_orders", "daily_orders")
    assert dict(ask(project, sql)) == dict.fromkeys(tables, "passed")


def test_the_check_can_be_run_by_hand(project: Project, instance: dg.DagsterInstance) -> None:
    definitions = build_definitions(project)
    wanted = dg.AssetCheckKey(asset_key(project.catalog.get("daily_orders")), RECONCILIATION)
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=frozenset(), asset_check_selection={wanted}
    )
    for passes in (True, False):
        if not passes:
            drop_a_row(project, "fact_orders", DAYS[0])
        (told,) = job.execute_in_process(run_config=QUIET, instance=instance).get_asset_check_evaluations()
        assert (told.asset_check_key, told.passed) == (wanted, passes)


def test_a_run_says_nothing_of_it_unless_something_differs(tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    assert RECONCILIATION not in small_shop.run(settings)
    path = tmp_path / "tables" / "aggregate" / "daily_orders.py"
    path.write_text(path.read_text(encoding="utf-8").replace(".sum()", ".max()"), encoding="utf-8")
    said = small_shop.run(settings, code=1)
    assert "aggregate.daily_orders: reconciliation: expected" in said
    assert "2011-01-01 total_amount (fact_orders -> daily_orders): 3.75 in, 2.25 out, difference 1.5" in said


def test_a_run_reads_no_more_than_it_made(project: Project) -> None:
    drop_a_row(project, "fact_orders", DAYS[1])
    assert not reconciled(project)["daily_orders"].passed
    found = reconciled(project, {"daily_orders": [DAYS[0], DAYS[2]], "orders": [DAYS[1]]})
    assert {table: result.found for table, result in found.items()} == {
        "daily_orders": "no difference in 4 comparisons",
        "orders": "no difference in 1 comparison",
    }


def test_a_difference_is_a_problem_of_its_tables_owner_and_ends_when_it_is_made_again(
    project: Project, instance: dg.DagsterInstance
) -> None:
    def problems() -> list[tuple[str, Kind]]:
        standing = standing_verdicts(project.settings.data_dir, project.lake.root)
        return [(p.subject, p.kind) for p in rule_problems(project, standing, set()) if p.rule == RECONCILIATION]

    drop_a_row(project, "fact_orders", DAYS[2])
    run_job(project, instance)
    subjects = ("aggregate.daily_orders", "dimensional.fact_orders")
    assert problems() == [(subject, Kind.NOT_RECONCILED) for subject in subjects]
    contract = project.catalog.get("fact_orders")
    empty_slices(project, contract, [DAYS[2]], instance)
    make_slices(project, contract, [DAYS[2]], run_id="mended")
    shop.settle(project)
    assert of(project, DAILY, DAYS[2], "total_amount") == (14, 14, 0, 0, True, False, False)
    run_job(project, instance)
    assert problems() == []


def test_a_month_is_compared_with_its_days(tmp_path: Path) -> None:
    tables = shop.shop_tables(tmp_path)
    tables.add(
        "aggregate",
        "monthly_orders",
        {"month_start_date": "DATE partitioned key", "total_amount": "DECIMAL(18,3)"},
        inputs=[{"table": "fact_orders", "window": "same"}],
        partitioning="month",
        custom={"reconciles": [{"column": "total_amount", "with": "fact_orders", "sum": "order_amount"}]},
        function="""
        def monthly_orders(fact_orders):
            months = fact_orders.group_by(month_start_date=fact_orders.business_date.truncate("M").cast("date"))
            return months.agg(total_amount=fact_orders.order_amount.sum())
        """,
    )
    small_shop.deliver(tmp_path, small_shop.FIRST_FILES)
    project = Project.load(small_shop.settings_of(tmp_path))
    shop.settle(project)
    step = "fact_orders -> monthly_orders"
    assert of(project, step, "2011-01-01", "total_amount") == (36.875, 36.875, 0, 0, True, False, False)
    small_shop.deliver(tmp_path, {DAYS[4]: [("51", "7", "UK", "8")]})
    shop.settle(project, select=["raw_shop_orders", "orders", "dim_buyer", "fact_orders"])
    assert of(project, step, "2011-01-01", "total_amount") == (44.875, 36.875, 0, 8, True, True, False)


def run_job(project: Project, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(project).resolve_job_def(JOB)
    return job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False)


def check(project: Project, instance: dg.DagsterInstance, table: str) -> tuple[bool, dg.AssetCheckSeverity]:
    key = dg.AssetCheckKey(asset_key(project.catalog.get(table)), RECONCILIATION)
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation.passed, evaluation.severity
