"""The shipped ledger by the real command, once: the facts that must come out, read from the published tables."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pytest

from dataplatform.assets.candidates import Candidate
from dataplatform.assets.judging import _dry_run, judge_published
from dataplatform.contracts.model import RuleKind
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.quality.results import Status
from dataplatform.serving.query import run_query
from dataplatform.settings import CHECKOUT, Settings
from dataplatform_tests.command import options, start

pytestmark = pytest.mark.xdist_group("whole ledger")
NET = Decimal("9747747.934")
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Built:
    """The platform after one `dataplatform run` over all 374 days, and what the command said."""

    project: Project
    folder: Path
    said: str


def command(settings: Settings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = start([*options(settings), *arguments], folder)
    said, errors = process.communicate(timeout=600)
    return subprocess.CompletedProcess(arguments, process.returncode, said, errors)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("ledger")
    settings = Settings.load(
        data_dir=folder / "data", landing=CHECKOUT / "data" / "landing", start_date="2010-12-01", end_date="2011-12-09"
    )
    done = command(settings, folder, "run")
    assert done.returncode == 0, done.stderr
    return Built(Project.load(settings), folder, done.stdout)


@pytest.fixture
def ask(built: Built) -> Ask:
    def answer(sql: str) -> list[tuple[Any, ...]]:
        with run_query(built.project.settings, built.project.catalog, sql) as found:
            return [tuple(row.values()) for batch in found.batches() for row in batch.to_pylist()]

    return answer


RAW = "raw.raw_ledger_sales_lines"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"SELECT count(*) FROM {RAW}", 541_909),
        (f"SELECT count(DISTINCT invoice) FROM {RAW}", 25_900),
        (f"SELECT count(DISTINCT customer_id) FROM {RAW} WHERE customer_id <> ''", 4_372),
        (f"SELECT count(*) FROM {RAW} WHERE customer_id = ''", 135_080),
        (f"SELECT count(*) FROM {RAW} WHERE invoice LIKE 'C%'", 9_288),
        (f"SELECT count(DISTINCT stock_code) FROM {RAW}", 4_070),
        (f"SELECT sum(quantity::INTEGER * price::DECIMAL(18,3)) FROM {RAW}", NET),
        ("SELECT count(*) FROM cleaned.sales_lines", 541_909 - 1_454),
        ("SELECT count(*) FROM quarantine.sales_lines WHERE list_contains(_reasons, 'names_nothing_sold')", 1_454),
        ("SELECT sum(net_amount) FROM dimensional.fact_sales", NET),
        ("SELECT sum(total_amount) - sum(discount_amount) FROM dimensional.fact_sales", NET),
        ("SELECT count(DISTINCT sale_key) FROM dimensional.fact_sales", 541_909 - 1_454),
        ("SELECT sum(net_amount) FROM dimensional.fact_sales WHERE date_key // 100 = 201012", Decimal("748957.020")),
        ("SELECT sum(net_amount) FROM dimensional.fact_sales WHERE date_key // 100 = 201111", Decimal("1461756.250")),
        ("SELECT count(*) FROM aggregate.daily_sales", 305),
        ("SELECT sum(net_amount) FROM aggregate.daily_sales", NET),
        ("SELECT sum(gross_amount) - sum(cancelled_amount) FROM aggregate.daily_sales", NET),
        ("SELECT sum(net_amount) FROM aggregate.daily_country_sales", NET),
        (
            "SELECT sum(net_amount) FROM aggregate.daily_country_sales WHERE country = 'United Kingdom'",
            Decimal("8187806.364"),
        ),
        ("SELECT sum(net_amount) FROM aggregate.monthly_product_sales", NET),
        ("SELECT count(*) FROM aggregate.customer_metrics", 4_372),
        ("SELECT sum(customer_count) FROM aggregate.monthly_customer_cohorts WHERE months_since_first = 0", 4_372),
    ],
)
def test_the_ledgers_facts_come_out(ask: Ask, sql: str, expected: object) -> None:
    assert ask(sql) == [(expected,)]


@pytest.mark.parametrize(
    ("dimension", "key"),
    [
        ("dim_customer", "customer_key"),
        ("dim_product", "product_key"),
        ("dim_location", "location_key"),
        ("dim_date", "date_key"),
    ],
)
def test_each_fact_row_joins_exactly_one_row_of_each_dimension(ask: Ask, dimension: str, key: str) -> None:
    sql = f"SELECT count(*), sum(net_amount) FROM dimensional.fact_sales JOIN dimensional.{dimension} USING ({key})"
    assert ask(sql) == [(541_909 - 1_454, NET)]


def test_each_fact_row_has_the_version_of_its_customer_that_was_valid_on_its_day(ask: Ask) -> None:
    sql = """
        SELECT count(*), count(*) FILTER (fact.customer_key = version.customer_key)
        FROM dimensional.fact_sales fact JOIN dimensional.dim_customer version
            ON fact.customer_id = version.customer_id
            AND fact.business_date >= version.valid_from AND fact.business_date < version.valid_to
    """
    named = ask("SELECT count(*) FROM dimensional.fact_sales WHERE customer_id IS NOT NULL")[0][0]
    assert ask(sql) == [(named, named)]
    assert named == 541_909 - 135_080


@pytest.mark.parametrize("aggregate", ["daily_sales", "daily_country_sales", "monthly_product_sales"])
def test_an_aggregate_is_the_facts_net_in_each_of_its_months(ask: Ask, aggregate: str) -> None:
    column = "month_start_date" if aggregate.startswith("monthly") else "business_date"
    month = "strftime({}, '%Y-%m')"
    facts = f"SELECT {month.format('business_date')}, sum(net_amount) FROM dimensional.fact_sales GROUP BY 1 ORDER BY 1"
    theirs = f"SELECT {month.format(column)}, sum(net_amount) FROM aggregate.{aggregate} GROUP BY 1 ORDER BY 1"
    assert ask(theirs) == ask(facts)


def test_what_was_kept_out_is_a_small_share_of_every_day_and_belongs_to_no_customer(ask: Ask) -> None:
    sql = f"""
        WITH delivered AS (SELECT business_date, count(*) AS lines FROM {RAW} GROUP BY 1),
        kept AS (SELECT business_date, count(*) AS lines FROM quarantine.sales_lines GROUP BY 1)
        SELECT max(kept.lines / delivered.lines) < 0.1, sum(kept.lines) FROM kept JOIN delivered USING (business_date)
    """
    assert ask(sql) == [(True, 1_454)]
    assert ask("SELECT count(*) FROM quarantine.sales_lines WHERE customer_id IS NOT NULL") == [(0,)]


def test_every_row_and_every_penny_that_was_delivered_is_in_every_aggregate(ask: Ask) -> None:
    sql = """
        SELECT step, measure, sum(amount_in), sum(amount_out), sum(quarantined), count(*) FILTER (
            WHERE difference IS DISTINCT FROM 0 OR differs OR is_behind OR NOT is_published)
        FROM operations.reconciliation WHERE measure <> 'unit_count' GROUP BY ALL
    """
    lines = Decimal(541_909 - 1_454)
    aggregates = ("daily_sales", "daily_country_sales", "monthly_product_sales")
    assert {(step, measure): amounts for step, measure, *amounts in ask(sql)} == {
        ("landing -> raw_ledger_sales_lines", "rows"): [541_909, 541_909, 0, 0],
        ("raw_ledger_sales_lines -> sales_lines", "rows"): [541_909, lines, 1_454, 0],
        ("sales_lines -> fact_sales", "rows"): [lines, lines, 0, 0],
        ("sales_lines -> fact_sales", "net_amount"): [NET, NET, 0, 0],
        **{(f"fact_sales -> {table}", "line_count"): [lines, lines, 0, 0] for table in aggregates},
        **{(f"fact_sales -> {table}", "net_amount"): [NET, NET, 0, 0] for table in aggregates},
    }
    days = "SELECT count(DISTINCT partition) FROM operations.reconciliation WHERE step LIKE 'landing%'"
    assert ask(days) == [(374,)]


def test_no_rule_failed_and_only_known_ones_warn(ask: Ask) -> None:
    sql = "SELECT DISTINCT table_name, rule, status FROM quality.rule_results WHERE status <> 'passed' "
    sql += "AND kind <> 'anomalies' ORDER BY ALL"
    assert ask(sql) == [
        ("sales_lines", "names_nothing_sold", "quarantined"),
        ("sales_lines", "repeated_lines", "warned"),
    ]


def test_every_rule_was_judged_in_every_partition(ask: Ask, built: Built) -> None:
    judged: dict[str, int] = dict(
        ask("SELECT table_name, count(DISTINCT rule || partition) FROM quality.rule_results GROUP BY ALL")
    )
    for contract in built.project.catalog:
        least = len(contract.rules) * len(built.project.keys(contract))
        assert judged[contract.name] >= least, contract.name


def test_no_partition_is_left_unpublished(built: Built) -> None:
    for contract in built.project.catalog:
        published = built.project.lake.table(contract).open().state.slices
        assert sorted(published) == sorted(built.project.keys(contract)), contract.name
    assert len(make_plan(built.project)) == 0


def test_a_second_run_finds_nothing_to_do(built: Built) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = command(built.project.settings, built.folder, "run")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert again.returncode == 0
    said, *rest = again.stdout.splitlines()
    assert said == "nothing to do: every table is up to date"
    assert all(line.startswith("open problems: 0 errors") for line in rest)
    assert after.ru_utime - before.ru_utime < 12, "seconds of work, and most of them imports"


def test_the_command_answers_queries_over_the_lake(built: Built) -> None:
    sql = "SELECT sum(net_amount) AS net FROM aggregate.daily_sales"
    asked = command(built.project.settings, built.folder, "query", sql, "--format", "csv")
    assert (asked.returncode, asked.stdout.split()) == (0, ['"net"', str(NET)])


def test_the_settings_in_force_are_shown_with_where_each_came_from(built: Built) -> None:
    shown = command(built.project.settings, built.folder, "settings")
    assert shown.returncode == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if "DATAPLATFORM_" in line}
    for name in Settings.model_fields:
        assert f"DATAPLATFORM_{name.upper()}" in lines
    assert str(built.project.settings.data_dir) in lines["DATAPLATFORM_DATA_DIR"]
    assert "argument" in lines["DATAPLATFORM_DATA_DIR"]
    assert "default" in lines["DATAPLATFORM_BUSINESS_ZONE"]


def test_the_warehouse_holds_the_same_sums_and_the_report_the_last_day(built: Built) -> None:
    settings = built.project.settings
    with duckdb.connect(str(settings.warehouse_dir / "warehouse.duckdb"), read_only=True) as warehouse:
        assert warehouse.execute("SELECT sum(net_amount) FROM dimensional.fact_sales").fetchone() == (NET,)
        assert warehouse.execute("SELECT count(*) FROM aggregate.daily_sales").fetchone() == (305,)
    page = (settings.reports_dir / "sales.html").read_text(encoding="utf-8")
    assert "2011-12-09" in page or "9 December 2011" in page
    assert "http://" not in page.replace("http://www.w3.org", ""), "it opens without a network"


def test_the_summary_says_what_happened(built: Built) -> None:
    for part in ("541,909", "1,454", "names_nothing_sold", "net_amount", "32,131.530", "next:"):
        assert part in built.said


def test_hardly_any_day_is_called_anomalous(ask: Ask) -> None:
    """Closed Saturdays, holidays, the growth before Christmas, small Sundays and very large orders are usual here."""
    kept = "FROM quality.rule_results WHERE kind = 'anomalies'"
    warned: dict[str, int] = dict(ask(f"SELECT table_name, count(*) {kept} AND status <> 'passed' GROUP BY ALL"))
    assert all(warnings <= 2 for warnings in warned.values()), warned
    unjudged = f"SELECT count(DISTINCT partition) {kept} AND rule = 'anomalous_volume' AND found = 'fewer'"
    assert ask(unjudged) == [(20,)], "the first days alone have too little history"


THURSDAY, SUNDAY = "2011-10-20", "2011-10-16"


def fewer(rows: Any) -> Any:
    return rows.filter(rows.line_number % 5 < 2)


def unnamed(rows: Any) -> Any:
    nobody = ibis.literal(None, rows.customer_id.type())
    return rows.mutate(customer_id=ibis.ifelse(rows.line_number % 5 == 0, nobody, rows.customer_id))


def tenfold(rows: Any) -> Any:
    return rows.mutate(unit_price=(rows.unit_price * 10).cast("decimal(18,3)"))


def without_the_kingdom(rows: Any) -> Any:
    return rows.filter(rows.country != "United Kingdom")


@pytest.mark.parametrize(
    ("table", "day", "change", "rule", "said"),
    [
        ("sales_lines", THURSDAY, fewer, "anomalous_volume", "rows 9"),
        ("fact_sales", THURSDAY, fewer, "anomalous_volume", "rows 9"),
        ("sales_lines", SUNDAY, unnamed, "customer_id:anomalous_nulls", "null share 19.9%"),
        ("fact_sales", SUNDAY, unnamed, "customer_id:anomalous_nulls", "null share 19.9%"),
        ("sales_lines", THURSDAY, tenfold, "unit_price:anomalous_quantiles", "p50 19.5"),
        ("fact_sales", THURSDAY, tenfold, "unit_price:anomalous_quantiles", "p50 19.5"),
        ("sales_lines", THURSDAY, without_the_kingdom, "country:anomalous_values", "United Kingdom"),
        ("daily_country_sales", THURSDAY, without_the_kingdom, "country:anomalous_values", "no United Kingdom"),
    ],
)
def test_what_is_put_into_one_day_is_noticed(
    built: Built, table: str, day: str, change: Callable[[Any], Any], rule: str, said: str
) -> None:
    """Volume down by 60 %, a null share 20 points up, prices times ten, a country gone; the lake keeps its rows."""
    contract = built.project.catalog.get(table)

    def altered(session: Any, target: Any, days: Sequence[str]) -> Candidate:
        rows = change(session.open(target, days))
        return Candidate(rows, tuple(days), input_rows={name: {} for name in contract.row_preserving})

    broken = {
        result.rule.name: result
        for result in _dry_run(built.project, contract, [day], altered).results
        if result.rule.kind is RuleKind.ANOMALIES and not result.passed
    }
    assert broken[rule].status is Status.WARNED
    assert said in broken[rule].found
    as_it_is = {r.rule.name for r in judge_published(built.project, contract, [day]).results if not r.passed}
    assert rule not in as_it_is
