"""Tables written as SQL: what a statement may say, and that it runs with its inputs and settings put in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pytest

from dataplatform.contracts.functions import TableFunction, load_function
from dataplatform.contracts.sql import parse
from dataplatform.engines.binding import bind
from dataplatform.engines.macros import MACROS
from dataplatform.engines.sql_tables import form_problems, qualified, to_ibis, type_problems
from dataplatform.errors import ContractError
from dataplatform_tests.factory import TableFactory

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

SCHEMAS = {
    "lines": {
        "line_id": "BIGINT",
        "day": "DATE",
        "amount": "DECIMAL(18,3)",
        "quantity": "INTEGER",
        "weight": "DOUBLE",
        "label": "VARCHAR",
        "sold_at": "TIMESTAMPTZ",
    },
    "people": {"line_id": "BIGINT", "valid_from": "DATE", "valid_to": "DATE"},
}


def judge(sql: str) -> list[str]:
    query = parse(sql)
    return form_problems(query) or type_problems(qualified(query, SCHEMAS))


ADMITTED = [
    "SELECT day, sum(amount) AS t, count(*) FILTER (WHERE quantity > 0) AS n FROM lines GROUP BY 1 HAVING sum(2) > 1",
    "SELECT count(DISTINCT CASE WHEN label = 'a' THEN line_id END) AS n FROM lines GROUP BY ALL",
    "WITH a AS (SELECT * FROM lines WHERE day IS NOT NULL) SELECT label FROM a UNION ALL SELECT label FROM lines",
    "SELECT row_number() OVER (PARTITION BY day ORDER BY line_id DESC) AS place FROM lines",
    "SELECT sum(quantity) OVER (ORDER BY line_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM lines",
    "SELECT l.day FROM lines AS l LEFT JOIN people AS p ON l.day >= p.valid_from AND l.day < p.valid_to",
    "SELECT lines.day FROM lines JOIN people USING (line_id) WHERE label IN ('a', 'b') AND NOT label LIKE 'x%'",
    "SELECT lines.line_id FROM lines SEMI JOIN people ON lines.line_id = people.line_id",
    "SELECT line_id FROM lines WHERE EXISTS (SELECT 1 FROM people WHERE people.line_id = lines.line_id)",
    "SELECT CAST(quantity AS DOUBLE) / count(*) AS ratio FROM lines GROUP BY quantity",
    "SELECT CAST(floor(amount) AS BIGINT) AS a, CAST(round(weight) AS INT) AS b, CAST(label AS INT) AS c FROM lines",
    "SELECT CAST(amount AS VARCHAR) AS a, CAST(day AS VARCHAR) AS b, CAST(line_id AS VARCHAR) AS c FROM lines",
    "SELECT date_diff('day', DATE '2011-01-01', day) AS days, date_trunc('month', day) AS m, year(day) AS y FROM lines",
    "SELECT regexp_replace(label, 'a', 'b', 'g') AS a, substring(label, 1, 3) AS b, trim(label) AS c FROM lines",
    "SELECT round(amount, 2) AS a, avg(quantity) AS b, -amount + 1 AS c, amount * 2 AS d FROM lines GROUP BY ALL",
    "SELECT to_utc_timestamp(CAST(day AS TIMESTAMPTZ), 'Europe/London') AS a FROM lines",
    "SELECT line_id FROM lines ORDER BY line_id LIMIT 3",
    "SELECT label IS DISTINCT FROM 'a' AS a, label || 'x' AS b, coalesce(label, '') AS c FROM lines",
    "SELECT arg_max(label, line_id) AS newest, sha256(min(label)) AS h FROM lines",
]


@pytest.mark.parametrize("sql", ADMITTED)
def test_what_every_engine_reads_alike_is_admitted(sql: str) -> None:
    assert judge(sql) == []


REFUSED = [
    ("SELECT list_sort(list(label)) AS a FROM lines", "is not admitted; use what docs/idioms.md lists"),
    ("SELECT log(quantity) AS a FROM lines", "LOG(quantity): log is not admitted"),
    ("SELECT isodow(day) AS a FROM lines", "dayofweek_iso is not admitted"),
    ("SELECT soundex2(label) AS a FROM lines", "function soundex2 is not admitted; use one of docs/idioms.md"),
    ("SELECT sold_at AT TIME ZONE 'Europe/London' AS a FROM lines", "AtTimeZone is not admitted"),
    ("SELECT try_cast(label AS INTEGER) AS a FROM lines", "try_cast is not admitted"),
    ("SELECT day + INTERVAL 1 DAY AS a FROM lines", "Interval is not admitted"),
    ("SELECT now() AS a FROM lines", "function now is not admitted"),
    ("SELECT current_date AS a FROM lines", "current_date is not admitted"),
    ("SELECT random() AS a FROM lines", "rand is not admitted"),
    ("SELECT label[1] AS a FROM lines", "Bracket is not admitted"),
    ("SELECT first(label) AS a FROM lines", "first is not admitted"),
    ("SELECT string_agg(label, ',') AS a FROM lines", "group_concat is not admitted"),
    ("SELECT line_id FROM lines QUALIFY row_number() OVER (ORDER BY line_id) = 1", "Qualify is not admitted"),
    ("SELECT line_id FROM lines USING SAMPLE 10%", "TableSample is not admitted"),
    ("SELECT quantity // 2 AS a FROM lines", "IntDiv is not admitted"),
    ("SELECT lines.day FROM lines ASOF JOIN people ON lines.day >= people.valid_from", "Spark has no such join"),
    ("SELECT line_id FROM lines SEMI JOIN people USING (line_id)", "columns cannot be traced through it; write ON"),
    ("SELECT lines.day FROM lines POSITIONAL JOIN people", "Spark has no such join"),
    (
        "WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a) SELECT n FROM a, lines",
        "WITH RECURSIVE: Spark has none",
    ),
    ("SELECT line_id FROM lines LIMIT 3", "LIMIT 3: which rows is up to the engine; ORDER BY a unique key before it"),
    ("SELECT * EXCLUDE (day) FROM lines", "Spark writes it otherwise; list the columns"),
    ("SELECT DISTINCT ON (day) label FROM lines", "DISTINCT ON: which row is up to the engine"),
    ("SELECT date_diff('month', day, day) AS a FROM lines", "only 'day' counts alike on every engine"),
    ("SELECT date_trunc('week', day) AS a FROM lines", "truncate to month, quarter or year"),
    ("SELECT regexp_replace(label, 'a', 'b') AS a FROM lines", "DuckDB replaces the first match, Spark all; give 'g'"),
    ("SELECT substring(label, 0, 2) AS a FROM lines", "engines differ before the first character"),
    ("SELECT trim(label, 'x') AS a FROM lines", "engines differ in what they trim"),
    ("SELECT sum(amount) / count(*) AS a FROM lines", "quotients of decimals differ; cast one side to DOUBLE"),
    (
        "SELECT CAST(amount AS BIGINT) AS a FROM lines",
        "DuckDB rounds, Spark truncates; write floor() or round() inside",
    ),
    ("SELECT CAST(round(amount, 1) AS BIGINT) AS a FROM lines", "DuckDB rounds, Spark truncates"),
    ("SELECT CAST(weight AS VARCHAR) AS a FROM lines", "engines write DOUBLE differently"),
    ("SELECT CAST(sold_at AS VARCHAR) AS a FROM lines", "engines write TIMESTAMPTZ differently"),
    ("SELECT CAST(label AS JSON) AS a FROM lines", "no contract can have JSON; take a type of docs/contracts.md"),
    ("SELECT day - DATE '2011-01-01' AS a FROM lines", "engines give different types; use date_diff('day', a, b)"),
    ("SELECT sum(weight) AS a FROM lines", "not the same on every engine and run; sum decimals or integers"),
    ("SELECT avg(amount) AS a FROM lines", "not the same on every engine and run"),
    ("SELECT round(weight, 2) AS a FROM lines", "ties fall differently; cast to a decimal"),
]


@pytest.mark.parametrize(("sql", "problem"), REFUSED)
def test_what_engines_read_differently_is_refused_with_what_to_write(sql: str, problem: str) -> None:
    assert any(problem in line for line in judge(sql)), judge(sql)


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = ibis.duckdb.connect()
    for statement in ("SET TimeZone = 'UTC'", *MACROS):
        found.con.execute(statement)
    yield found
    found.disconnect()


def function(folder: Path, sql: str, settings: dict[str, object] | None = None) -> tuple[TableFunction, TableFactory]:
    tables = TableFactory(folder)
    tables.add("raw", "lines", SCHEMAS["lines"] | {"sold_at": "TIMESTAMP"})
    columns = {"label": "VARCHAR", "total": "DECIMAL(18,3)"}
    tables.add("aggregate", "totals", columns, inputs=["lines"], sql=sql, custom={"settings": settings or {}})
    return load_function(tables.contract("totals"), tables.tables_dir), tables


SQL = (
    "SELECT l.label, sum(l.amount) AS total FROM lines AS l WHERE l.day > $since AND l.label <> $never GROUP BY l.label"
)
SETTINGS: dict[str, object] = {"since": "2011-01-01", "never": "it's"}


def test_inputs_and_settings_are_put_in_and_computed(backend: Backend, tmp_path: Path) -> None:
    backend.con.execute(
        "CREATE TABLE stored AS SELECT * FROM (VALUES (DATE '2011-01-01', 'a', 1.5), (DATE '2011-01-02', 'a', 2.25), "
        "(DATE '2011-01-02', 'b', 4), (DATE '2011-01-03', 'a', 1)) AS given(day, label, amount)"
    )
    loaded, _ = function(tmp_path, SQL, SETTINGS)
    lines = backend.table("stored").filter(ibis._.label == "a")
    made = to_ibis(backend, loaded, {"lines": lines}, {**SETTINGS, "since": dt.date(2011, 1, 1)})
    assert backend.con.execute(str(backend.compile(made))).fetchall() == [("a", pytest.approx(3.25))]


def test_a_stored_table_may_have_the_name_of_the_parameter(backend: Backend, tmp_path: Path) -> None:
    backend.con.execute("CREATE TABLE lines (day DATE, label VARCHAR, amount DECIMAL(18,3))")
    loaded, _ = function(tmp_path, "SELECT label, sum(amount) AS total FROM lines GROUP BY label")
    made = to_ibis(backend, loaded, {"lines": backend.table("lines")}, {})
    assert made.columns == ("label", "total")


def test_a_sql_table_is_bound_with_lineage(tmp_path: Path) -> None:
    loaded, tables = function(tmp_path, SQL, SETTINGS)
    found = bind(tables.contract("totals"), loaded, {"lines": tables.contract("lines")})
    assert found.delivered == {"label": "VARCHAR", "total": "DECIMAL(38,3)"}
    assert found.lineage == {"label": {("lines", "label")}, "total": {("lines", "amount")}}


def test_a_sql_table_that_does_not_fit_is_refused_with_its_file(tmp_path: Path) -> None:
    loaded, tables = function(tmp_path, "SELECT label, sum(weight) AS totl FROM lines GROUP BY label")
    with pytest.raises(ContractError) as caught:
        bind(tables.contract("totals"), loaded, {"lines": tables.contract("lines")})
    start = f"{tables.tables_dir}/aggregate/totals.sql: aggregate.totals: "
    assert [problem.removeprefix(start).split(";")[0] for problem in caught.value.problems] == [
        "SUM(lines.weight): not the same on every engine and run",
        "column totl is delivered and not in the contract",
        "column total of the contract is not delivered",
    ]


def test_a_column_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    loaded, tables = function(tmp_path, "SELECT labl AS label, 1 AS total FROM lines")
    with pytest.raises(ContractError, match=r'fails on empty inputs: BinderException: .*"labl" not found'):
        bind(tables.contract("totals"), loaded, {"lines": tables.contract("lines")})
