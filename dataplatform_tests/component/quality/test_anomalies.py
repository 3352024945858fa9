"""Anomaly rules: from the contract's few words to verdicts that say what was expected, and profiles that are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataplatform.assets.judging import judge_slices
from dataplatform.assets.metadata import check_metadata
from dataplatform.assets.slices import Outcome, make_slices
from dataplatform.contracts.model import Rule, RuleKind
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.project import Project
from dataplatform.quality.report import checks_by_kind
from dataplatform.quality.results import RuleResult, Status
from dataplatform.serving.query import run_query
from dataplatform_tests.factory import TableFactory
from dataplatform_tests.shop import SOURCE, load

DAYS = [(date(2011, 1, 3) + timedelta(days=n)).isoformat() for n in range(35)]
LAST = DAYS[-1]
COLUMNS = {"order_id": "VARCHAR", "buyer_id": "VARCHAR", "country": "VARCHAR", "amount": "VARCHAR"}
EXTRA = {
    "extra_columns": "VARCHAR",
    "file_name": "VARCHAR",
    "line_number": "INTEGER",
    "business_date": "DATE partitioned",
}
ORDERS = """
def orders(raw_shop_orders):
    t = raw_shop_orders
    return t.select(
        order_id=t.order_id, buyer_id=t.buyer_id.nullif(""), country=t.country, note=ibis.literal(None, "string"),
        order_amount=t.amount.try_cast("decimal(18,3)"), business_date=t.business_date)
"""
ROWS = 60
Row = tuple[str, str, str, str]


def usual(day: str, rows: int = ROWS) -> list[Row]:
    """A day of the shop: one buyer in ten unnamed, three countries, amounts around ten."""
    return [
        (f"{day}-{n}", "" if n % 10 == 0 else str(n % 25), ("UK", "UK", "FR", "DE")[n % 4], str(8 + n % 5))
        for n in range(rows)
    ]


def project_of(folder: Path, **anomalies: Any) -> Project:
    tables = TableFactory(folder)
    source = {**SOURCE, "columns": {name: name for name in COLUMNS}}
    tables.add("raw", "raw_shop_orders", COLUMNS | EXTRA, partitioning="day", custom={"source": source})
    tables.add(
        "cleaned", "orders",
        {"order_id": "VARCHAR key", "buyer_id": "VARCHAR private", "country": "VARCHAR required", "note": "VARCHAR",
         "order_amount": "DECIMAL(18,3) required", "business_date": "DATE partitioned key"},
        inputs=["raw_shop_orders"], partitioning="day", function=ORDERS,
        custom={"anomalies": {"values": ["country"], **anomalies}, "quarantineShare": 0.5},
    )  # fmt: skip
    return load(folder, start_date=DAYS[0], end_date=LAST)


def deliver(project: Project, days: Mapping[str, Sequence[Row]]) -> None:
    folder = Path(str(project.settings.landing)) / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    for day, rows in days.items():
        lines = [",".join(COLUMNS), *(",".join(row) for row in rows), ""]
        (folder / f"{day}.csv").write_text("\n".join(lines), encoding="utf-8")


def make(project: Project, days: Sequence[str] = DAYS, table: str = "orders") -> Outcome:
    make_slices(project, project.catalog.get("raw_shop_orders"), days, run_id="raw")
    return make_slices(project, project.catalog.get(table), days, run_id="run")


def built(folder: Path, last: Sequence[Row], **anomalies: Any) -> Outcome:
    """All days in one range, each as usual but for the last."""
    project = project_of(folder, **anomalies)
    deliver(project, {day: usual(day) for day in DAYS} | {LAST: last})
    return make(project)


def found(outcome: Outcome, partition: str = LAST) -> dict[str, RuleResult]:
    return {r.rule.name: r for r in outcome.results if r.rule.kind is RuleKind.ANOMALIES and r.partition == partition}


def warned(outcome: Outcome) -> dict[str, set[str]]:
    """Rule -> the days on which it is not kept."""
    days: dict[str, set[str]] = {}
    for result in outcome.results:
        if result.rule.kind is RuleKind.ANOMALIES and not result.passed:
            days.setdefault(result.rule.name, set()).add(result.partition)
    return days


def test_a_shop_as_usual_passes_every_rule(tmp_path: Path) -> None:
    outcome = built(tmp_path, usual(LAST))
    assert warned(outcome) == {}
    assert found(outcome)["anomalous_volume"].found == "rows 60"
    assert found(outcome)["country:anomalous_values"].status is Status.PASSED


CHANGED: Mapping[str, tuple[Callable[[Row, int], Row | None], str, str]] = {
    "volume": (lambda row, n: row if n < ROWS * 0.3 else None, "anomalous_volume", "rows 18"),
    "nulls": (
        lambda row, n: (row[0], "" if n % 10 < 4 else row[1], *row[2:]),
        "buyer_id:anomalous_nulls",
        "null share 40%",
    ),
    "numbers": (
        lambda row, _n: (*row[:3], f"{row[3]}0"),
        "order_amount:anomalous_quantiles",
        "p25 90; p50 100; p75 110",
    ),
    "distinct": (
        lambda row, n: (row[0], f"{n}", *row[2:]) if n % 10 else row,
        "buyer_id:anomalous_distinct",
        "distinct share",
    ),
    "values": (
        lambda row, _n: (*row[:2], "UK" if row[2] == "DE" else row[2], row[3]),
        "country:anomalous_values",
        "share of DE 0%",
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_each_kind_of_anomaly_warns_on_its_day_alone_and_is_published(tmp_path: Path, what: str) -> None:
    change, rule, said = CHANGED[what]
    rows = [changed for n, row in enumerate(usual(LAST)) if (changed := change(row, n)) is not None]
    outcome = built(tmp_path, rows)
    assert warned(outcome).get(rule) == {LAST}
    assert said in found(outcome)[rule].found
    assert all(days == {LAST} for days in warned(outcome).values())
    assert outcome.failed == []


def test_a_mean_that_one_row_carries_away_warns(tmp_path: Path) -> None:
    rows = usual(LAST)
    rows[1] = (*rows[1][:3], "90000")
    assert warned(built(tmp_path, rows)) == {"order_amount:anomalous_mean": {LAST}}


def test_a_value_that_was_there_every_day_and_is_gone_is_named(tmp_path: Path) -> None:
    rows = [(*row[:2], "FR" if row[2] == "UK" else row[2], row[3]) for row in usual(LAST)]
    result = found(built(tmp_path, rows))["country:anomalous_values"]
    assert "share of UK 0%" in result.found
    assert "share of UK " in result.expected


def test_too_little_history_passes_and_says_so(tmp_path: Path) -> None:
    outcome = built(tmp_path, usual(LAST))
    early = found(outcome, DAYS[5])["anomalous_volume"]
    assert (early.passed, early.expected, early.found) == (True, "20 days of the last 8 weeks to compare with", "fewer")


def test_a_column_without_any_value_and_a_day_without_rows_pass(tmp_path: Path) -> None:
    outcome = built(tmp_path, [])
    assert warned(outcome) == {}
    assert found(outcome)["anomalous_volume"].found == "no rows"
    assert found(outcome, DAYS[-2])["note:anomalous_nulls"].found == "null share 100%"
    assert found(outcome, DAYS[-2])["note:anomalous_distinct"].found == "fewer"


def test_a_first_day_without_rows_passes_every_rule(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    deliver(project, {DAYS[0]: []})
    assert {result.found for result in found(make(project, DAYS[:1]), DAYS[0]).values()} == {"no rows"}


def test_an_anomaly_may_block_where_the_contract_says_error(tmp_path: Path) -> None:
    outcome = built(tmp_path, usual(LAST, 18), severity="error")
    assert [slice_.partition for slice_ in outcome.failed] == [LAST]
    assert "anomalous_volume: expected rows " in outcome.failed[0].problems[0]


def test_a_range_is_judged_as_its_days_one_by_one(tmp_path: Path) -> None:
    """Pain 7: also what depends on the days before; the law of ranges."""
    deliveries = {day: usual(day, 18 if day in (DAYS[24], LAST) else ROWS) for day in DAYS}
    answers = []
    for name, chunks in (("range", [DAYS]), ("days", [[day] for day in DAYS])):
        project = project_of(tmp_path / name, severity="error")
        deliver(project, deliveries)
        outcomes = [make(project, chunk) for chunk in chunks]
        answers.append(
            sorted((r.rule.name, r.partition, r.passed, r.expected, r.found) for o in outcomes for r in o.results)
        )
    assert answers[0] == answers[1]
    assert any(not passed for _, _, passed, _, _ in answers[0])


def test_a_corrected_day_corrects_the_history(tmp_path: Path) -> None:
    as_ever = found(built(tmp_path / "other", usual(LAST)))["anomalous_volume"].expected
    project = project_of(tmp_path)
    deliver(project, {day: usual(day, 20 if day > DAYS[20] else ROWS) for day in DAYS[:-1]} | {LAST: usual(LAST)})
    make(project, DAYS[:-1])
    make_slices(project, project.catalog.get("raw_shop_orders"), [LAST], run_id="raw")

    def expected() -> str:
        judged = judge_slices(project, project.catalog.get("orders"), [LAST])
        return next(r.expected for r in judged.results if r.rule.name == "anomalous_volume")

    assert expected() != as_ever, "two weeks of twenty rows are remembered"
    deliver(project, {day: usual(day) for day in DAYS[21:-1]})
    make(project, DAYS[21:-1])
    assert expected() == as_ever


def test_profiles_are_kept_per_partition_and_never_name_a_private_value(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    deliver(project, {day: usual(day) for day in DAYS[:3]})
    make(project, DAYS[:3])
    make(project, DAYS[:3])

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with run_query(project.settings, project.catalog, sql) as answer:
            return [tuple(row.values()) for batch in answer.batches() for row in batch.to_pylist()]

    kept = "FROM quality.column_profiles WHERE table_name = 'orders'"
    assert ask(f"SELECT partition, measured {kept} AND statistic = 'rows' ORDER BY ALL") == [
        (d, 60.0) for d in DAYS[:3]
    ]
    assert ask(f"SELECT DISTINCT statistic {kept} AND column_name = 'buyer_id' ORDER BY ALL") == [
        ("distinct_share",), ("null_share",)
    ]  # fmt: skip
    assert ask(f"SELECT DISTINCT column_name, value {kept} AND value IS NOT NULL ORDER BY ALL") == [
        ("country", "DE"), ("country", "FR"), ("country", "UK")
    ]  # fmt: skip
    assert ask(f"SELECT measured {kept} AND statistic = 'p50' AND partition = '{DAYS[0]}'") == [(10.0,)]


def test_the_check_explains_itself_with_what_was_expected_and_a_picture(tmp_path: Path) -> None:
    outcome = built(tmp_path, usual(LAST, 18))
    (summary,) = [each for each in checks_by_kind(outcome.results) if each.kind is RuleKind.ANOMALIES]
    details = check_metadata(summary)
    assert "anomalous_volume: expected rows " in str(details["findings"].value)
    picture = str(details[f"anomalous_volume {LAST}"].value)
    assert picture.startswith(f"![rows until {LAST}, and what was expected of each day](data:image/png;base64,")
    assert len(picture) < 20_000


def test_a_table_that_asks_for_none_is_not_measured(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    deliver(project, {DAYS[0]: usual(DAYS[0])})
    make(project, DAYS[:1])
    held = PlatformTables(project.lake.root)
    assert held.profiles("raw_shop_orders", DAYS[0], LAST).num_rows == 0  # type: ignore[union-attr]
    assert held.profiles("orders", DAYS[1], LAST).num_rows == 0  # type: ignore[union-attr]
    assert PlatformTables(tmp_path / "nowhere").profiles("orders", DAYS[0], LAST) is None


def rules(project: Project) -> dict[str, Rule]:
    return {rule.name: rule for rule in project.catalog.get("orders").rules_of(RuleKind.ANOMALIES)}


def test_the_rules_have_stable_names_and_leave_out_what_the_contract_leaves_out(tmp_path: Path) -> None:
    assert list(rules(project_of(tmp_path / "a"))) == [
        "anomalous_volume",
        "buyer_id:anomalous_nulls", "buyer_id:anomalous_distinct",
        "country:anomalous_values",
        "note:anomalous_nulls", "note:anomalous_distinct",
        "order_amount:anomalous_mean", "order_amount:anomalous_quantiles",
    ]  # fmt: skip
    fewer = rules(project_of(tmp_path / "b", leaveOut=["note", "order_amount"], weeks=4, days=10))
    assert list(fewer) == [
        "anomalous_volume", "buyer_id:anomalous_nulls", "buyer_id:anomalous_distinct", "country:anomalous_values"
    ]  # fmt: skip
    assert fewer["anomalous_volume"].arguments == {"weeks": 4, "days": 10}
