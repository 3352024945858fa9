"""A query sees every lake table, reads and nothing else, and says in one line what is wrong."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataplatform.engines.duckdb import relation_sql
from dataplatform.errors import PlatformError, UnknownNameError
from dataplatform.lake.platform_tables import PARTITION, PlatformTables
from dataplatform.serving.query import run_query
from dataplatform_tests.published import DAYS, PublishedLake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> PublishedLake:
    """Published once: nothing here may change it, which a test below holds the others to."""
    published = PublishedLake(tmp_path_factory.mktemp("lake"))
    published.fill()
    platform = PlatformTables(published.settings.lake_dir)
    platform.replace_quarantine("raw_sales", pa.table({PARTITION: [DAYS[0]], "reason": ["late"]}), [DAYS[0]])
    platform.replace_quarantine("daily_sales", pa.table({PARTITION: [DAYS[1]], "reason": ["bad"]}), [DAYS[1]])
    platform.replace_quarantine("daily_sales", None, [DAYS[1]])
    platform.append_results(pa.table({"rule": ["line:required"], "passed": [True]}))
    return published


def ask(lake: PublishedLake, sql: str, limit: int | None = None) -> list[tuple[Any, ...]]:
    with run_query(lake.settings, lake.project.catalog, sql, limit=limit) as answer:
        return [tuple(row.values()) for batch in answer.batches() for row in batch.to_pylist()]


def refusal(lake: PublishedLake, sql: str) -> str:
    with pytest.raises(PlatformError) as caught:
        ask(lake, sql)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_every_lake_table_is_visible_as_layer_and_table(lake: PublishedLake) -> None:
    assert ask(lake, "SELECT count(*), sum(net_amount) FROM dimensional.fact_sales") == [(10, Decimal("15.000"))]
    assert ask(lake, "SELECT schema || '.' || name FROM (SHOW ALL TABLES) ORDER BY ALL") == [
        ("aggregate.daily_sales",),
        ("dimensional.dim_customer",),
        ("dimensional.fact_sales",),
        ("operations.reconciliation",),
        ("operations.source_schemas",),
        ("operations.table_runs",),
        ("quality.column_profiles",),
        ("quality.rule_results",),
        ("quarantine.daily_sales",),
        ("quarantine.raw_sales",),
        ("raw.raw_sales",),
    ]


def test_a_table_may_be_named_without_its_layer(lake: PublishedLake) -> None:
    assert ask(lake, "FROM daily_sales SELECT count(*)") == [(5,)]


def test_quarantined_rows_and_rule_results_are_tables_too(lake: PublishedLake) -> None:
    assert ask(lake, "SELECT _partition, reason FROM quarantine.raw_sales") == [(DAYS[0], "late")]
    assert ask(lake, "SELECT _partition, reason FROM quarantine.daily_sales") == []
    assert ask(lake, "SELECT rule, passed FROM quality.rule_results") == [("line:required", True)]


def test_a_table_that_was_never_published_is_there_and_empty(lake: PublishedLake) -> None:
    assert ask(lake, "SELECT * FROM raw.raw_sales") == []
    assert [row[:2] for row in ask(lake, "DESCRIBE raw.raw_sales")] == [("line", "VARCHAR"), ("business_date", "DATE")]


def test_types_are_those_of_the_contract(lake: PublishedLake) -> None:
    described = {row[0]: row[1] for row in ask(lake, "DESCRIBE fact_sales")}
    assert described["net_amount"] == "DECIMAL(18,3)"
    assert described["sold_at"] == "TIMESTAMP WITH TIME ZONE"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM dimensional.fact_sales",
        "FROM fact_sales",
        "WITH sales AS (SELECT * FROM fact_sales) SELECT count(*) FROM sales",
        "VALUES (1)",
        "TABLE fact_sales",
        "DESCRIBE fact_sales",
        "SUMMARIZE daily_sales",
        "SHOW TABLES",
        "SHOW fact_sales",
        "EXPLAIN SELECT * FROM fact_sales",
        "EXPLAIN ANALYZE SELECT * FROM fact_sales",
        "EXPLAIN (FORMAT json) SELECT * FROM fact_sales",
        "EXPLAIN (SELECT 1)",
        "PIVOT daily_sales ON business_date IN (DATE '2011-01-01') USING sum(net_amount)",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM query('SELECT count(*) FROM fact_sales')",
        "-- how many\nSELECT count(*) FROM fact_sales; ",
        'SELECT count(*) FROM "dimensional"."FACT_SALES"',
    ],
)
def test_statements_that_read_are_answered(lake: PublishedLake, sql: str) -> None:
    assert ask(lake, sql)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("COPY dimensional.fact_sales TO '{lake}/x.csv'", "COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.parquet'", "COPY"),
        ("EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{lake}/x.csv'", "COPY"),
        ("CREATE TABLE raw.x AS SELECT 1", "CREATE"),
        ("INSERT INTO dimensional.fact_sales VALUES (1)", "INSERT"),
        ("DELETE FROM dimensional.fact_sales", "DELETE"),
        ("DROP VIEW dimensional.fact_sales", "DROP"),
        ("ATTACH '{lake}/x.duckdb'", "ATTACH"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD httpfs", "LOAD"),
        ("SET memory_limit = '9GB'", "SET"),
        ("USE raw", "SET"),
        ("CALL pragma_version()", "CALL"),
        ("EXPORT DATABASE '{lake}/x'", "EXPORT"),
        ("BEGIN", "TRANSACTION"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
    ],
)
def test_statements_that_do_more_than_read_are_refused_by_their_kind(lake: PublishedLake, sql: str, kind: str) -> None:
    message = refusal(lake, sql.replace("{lake}", str(lake.settings.lake_dir)))
    assert message.startswith(f"{kind} is refused: queries only read; write one SELECT")


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('/etc/passwd')",
        "read_text('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "glob('/etc/*')",
        "'/etc/passwd'",
        "'other.csv'",
        "read_parquet('{lake}/../secret.parquet')",
        "'https://example.com/x.parquet'",
        "read_csv('s3://bucket/x.csv')",
        "sqlite_scan('/tmp/x.db', 't')",
        "st_read('/tmp/x.shp')",
    ],
)
def test_files_networks_and_extensions_outside_the_lake_are_refused(lake: PublishedLake, source: str) -> None:
    message = refusal(lake, f"SELECT * FROM {source.replace('{lake}', str(lake.settings.lake_dir))}")
    assert "queries read the lake's tables and nothing else" in message


@pytest.mark.parametrize(
    "sql",
    [
        "EXPLAIN /* a */ ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
        "/* a */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPLAIN ANALYZE /* /* */ SELECT 1 -- */ COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPLAIN (ANALYZE, FORMAT ') SELECT 1 --json') COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPLAIN (ANALYZE /* ) SELECT 1 -- */) COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
    ],
)
def test_what_is_explained_cannot_be_hidden(lake: PublishedLake, sql: str) -> None:
    before = snapshot(lake.settings.lake_dir)
    refusal(lake, sql.replace("{lake}", str(lake.settings.lake_dir)))
    assert snapshot(lake.settings.lake_dir) == before


def test_variables_of_the_process_are_no_tables(lake: PublishedLake) -> None:
    secret = pa.table({"a": [1]})
    assert secret.num_rows
    assert refusal(lake, "SELECT * FROM secret").startswith("no table called 'secret'")


def test_an_answer_changes_nothing_in_the_lake(lake: PublishedLake) -> None:
    before = snapshot(lake.settings.lake_dir)
    ask(lake, "SELECT * FROM fact_sales JOIN dim_customer USING (customer_key)")
    ask(lake, "EXPLAIN ANALYZE SELECT * FROM fact_sales")
    assert snapshot(lake.settings.lake_dir) == before


@pytest.mark.parametrize("sql", ["", " -- nothing", ";"])
def test_no_statement_is_refused(lake: PublishedLake, sql: str) -> None:
    assert refusal(lake, sql).startswith("nothing was asked; write one SELECT")


def test_several_statements_are_refused(lake: PublishedLake) -> None:
    assert refusal(lake, "SELECT 1; SELECT 2").startswith("2 statements were given; write one SELECT")


def test_a_pivot_that_would_create_a_type_says_how_to_write_it(lake: PublishedLake) -> None:
    message = refusal(lake, "PIVOT daily_sales ON business_date USING sum(net_amount)")
    assert "a PIVOT must list its values: PIVOT … ON column IN ('a', 'b')" in message


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM dimensional.fact_sale", "no table called 'fact_sale'; did you mean dimensional.fact_sales"),
        ("SELECT * FROM daily_sale", "no table called 'daily_sale'; did you mean aggregate.daily_sales"),
        ("SELECT * FROM gold.fact_sales", "no table called 'gold.fact_sales'; did you mean dimensional.fact_sales"),
        ("SELECT nett_amount FROM fact_sales", "no column called 'nett_amount'; did you mean net_amount"),
        ("SELECT f.nett_amount FROM fact_sales f", "no column called 'nett_amount'; did you mean net_amount"),
        ("SELECT * EXCLUDE (countri) FROM dim_customer", "no column called 'countri'; did you mean country"),
    ],
)
def test_a_wrong_name_gets_the_nearest_ones(lake: PublishedLake, sql: str, expected: str) -> None:
    assert refusal(lake, sql).startswith(expected)


def test_what_is_not_sql_is_said_to_be_so(lake: PublishedLake) -> None:
    assert refusal(lake, "SELEC 1") == 'not SQL that DuckDB reads: syntax error at or near "SELEC"'


def test_a_value_that_cannot_be_computed_is_named(lake: PublishedLake) -> None:
    assert refusal(lake, "SELECT CAST(country AS INTEGER) FROM dim_customer").startswith("Could not convert string")
    late = "SELECT CAST(if(range = 299999, 'x', '1') AS INTEGER) FROM range(300000)"
    assert refusal(lake, late) == "the query failed: Could not convert string 'x' to INT32"


def test_a_limit_cuts_the_answer_off_and_says_so(lake: PublishedLake) -> None:
    seen = {limit: _cut(lake, limit) for limit in (None, 11, 10, 9, 0)}
    assert seen == {None: (10, False), 11: (10, False), 10: (10, False), 9: (9, True), 0: (0, True)}


def _cut(lake: PublishedLake, limit: int | None) -> tuple[int, bool]:
    with run_query(lake.settings, lake.project.catalog, "FROM fact_sales", limit=limit) as answer:
        rows = sum(batch.num_rows for batch in answer.batches())
        assert rows == answer.rows
        return rows, answer.is_cut


def test_only_tables_that_the_statement_mentions_are_opened(
    lake: PublishedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    relation = relation_sql

    def noted(connection: Any, table: Any, *given: Any) -> str:
        opened.append(table.table.contract.full_name)
        return relation(connection, table, *given)

    monkeypatch.setattr("dataplatform.serving.views.relation_sql", noted)
    ask(lake, "SELECT business_date FROM daily_sales")
    assert opened == ["aggregate.daily_sales"]


def test_a_wrong_name_is_an_unknown_name(lake: PublishedLake) -> None:
    with pytest.raises(UnknownNameError):
        ask(lake, "FROM nowhere")
