"""What a source looked like is kept delivery by delivery, and a change of it is a warning before it hurts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets.judging import judge_slices
from dataplatform.assets.slices import Outcome, make_slices
from dataplatform.project import Project
from dataplatform.serving.query import run_query
from dataplatform_tests.in_dagster import checks, materialize
from dataplatform_tests.shop import load, shop_tables

DAYS = [f"2011-01-0{number}" for number in range(1, 7)]
HEADER = "order_id,buyer_id,country,amount"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def drop(shop: Project, day: str, amount: str = "1.5", header: str = HEADER, more: str = "", orders: int = 30) -> None:
    """One file of orders that are all alike."""
    folder = Path(str(shop.settings.landing)) / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f"{number},7,UK,{amount}{more}" for number in range(orders))]
    (folder / f"{day}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")


def read(shop: Project, *days: str) -> Outcome:
    return make_slices(shop, shop.catalog.get("raw_shop_orders"), days, run_id="reads")


def ask(shop: Project, sql: str) -> list[dict[str, Any]]:
    with run_query(shop.settings, shop.catalog, sql) as answer:
        return [row for batch in answer.batches() for row in batch.to_pylist()]


def told(outcome: Outcome, day: str) -> str:
    """What `delivery:as_before` found of one day."""
    (result,) = [r for r in outcome.results if r.rule.name == "delivery:as_before" and r.partition == day]
    assert result.passed == (result.found == "the same")
    return result.found


def test_a_delivery_is_kept_with_the_kinds_of_its_columns(shop: Project) -> None:
    assert ask(shop, "FROM operations.source_schemas") == []
    drop(shop, DAYS[0], "2.5")
    read(shop, DAYS[0])
    rows = ask(shop, "FROM operations.source_schemas ORDER BY position")
    assert [row["column_name"] for row in rows] == HEADER.split(",")
    assert [row["kind"] for row in rows] == ["integer", "integer", "text", "decimal"]
    assert {(row["partition"], row["records"], row["run_id"]) for row in rows} == {(DAYS[0], 30, "reads")}
    assert rows[0]["files"] == [f"orders/{DAYS[0]}.csv"]


def test_the_same_file_read_again_is_kept_once_and_a_corrected_one_again(shop: Project) -> None:
    drop(shop, DAYS[0])
    read(shop, DAYS[0])
    read(shop, DAYS[0])
    assert len(ask(shop, "FROM operations.source_schemas")) == 4
    drop(shop, DAYS[0], "2.5")
    read(shop, DAYS[0])
    assert len(ask(shop, "SELECT DISTINCT fingerprint FROM operations.source_schemas")) == 2


def test_integers_that_become_decimals_are_a_warning_and_the_day_is_published(shop: Project) -> None:
    for day in DAYS[:3]:
        drop(shop, day, "4")
    drop(shop, DAYS[3], "4.25")
    outcome = read(shop, *DAYS[:4])
    line = f"column 'amount': decimal in 100% of the cells, expected integer, since {DAYS[3]}"
    assert [told(outcome, day) for day in DAYS[:4]] == ["the same", "the same", "the same", line]
    assert outcome.slices[DAYS[3]].status == "published"
    assert line in outcome.slices[DAYS[3]].warnings
    (row,) = ask(shop, "FROM quality.rule_results WHERE rule = 'delivery:as_before' AND status = 'warned'")
    assert (row["partition"], row["found"]) == (DAYS[3], line)


def test_a_change_is_seen_across_runs_and_says_since_when(shop: Project) -> None:
    for number, day in enumerate(DAYS[:5]):
        drop(shop, day, "4" if number < 3 else "4,25".replace(",", "."))
    read(shop, *DAYS[:3])
    assert f"since {DAYS[3]}" in told(read(shop, DAYS[3]), DAYS[3])
    assert f"since {DAYS[3]}" in told(read(shop, DAYS[4]), DAYS[4])


def test_a_column_that_nobody_agreed_on_is_told_when_it_comes_and_when_it_goes(shop: Project) -> None:
    for day in DAYS[:3]:
        drop(shop, day, header=f"{HEADER},currency", more=",GBP")
    drop(shop, DAYS[3])
    outcome = read(shop, *DAYS[:4])
    assert told(outcome, DAYS[2]) == "the same"
    assert told(outcome, DAYS[3]) == f"column 'currency': gone, expected a column of this name, since {DAYS[3]}"
    drop(shop, DAYS[4], header=f"{HEADER},currency,channel", more=",GBP,web")
    assert told(read(shop, DAYS[4]), DAYS[4]).startswith("column 'channel': a new column")
    drop(shop, DAYS[5], header=f"{HEADER},coin", more=",GBP")
    assert "column 'coin': likely the new name of 'currency'" in told(read(shop, DAYS[5]), DAYS[5])


def test_a_renamed_column_refuses_the_file_and_the_refusal_names_its_likely_new_name(shop: Project) -> None:
    drop(shop, DAYS[0], header="order_id,buyer,country,amount")
    outcome = read(shop, DAYS[0])
    assert outcome.slices[DAYS[0]].status == "refused"
    assert "was buyer_id renamed to 'buyer'?" in outcome.slices[DAYS[0]].problems[0]


def test_an_order_of_arrival_does_not_matter_to_what_a_day_is_compared_with(shop: Project) -> None:
    for day in (DAYS[4], DAYS[5]):
        drop(shop, day, "4.25")
        read(shop, day)
    drop(shop, DAYS[0], "4")
    assert told(read(shop, DAYS[0]), DAYS[0]) == "the same", "days after it are not before it"


def test_a_dry_run_keeps_nothing(shop: Project) -> None:
    drop(shop, DAYS[0])
    judge_slices(shop, shop.catalog.get("raw_shop_orders"), [DAYS[0]])
    assert ask(shop, "FROM operations.source_schemas") == []


def test_the_check_in_dagster_shows_the_drift_as_a_warning(shop: Project) -> None:
    for day in DAYS[:3]:
        drop(shop, day, "4")
    drop(shop, DAYS[3], "4.25")
    with dg.instance_for_test() as instance:
        result = materialize(shop, instance, "raw_shop_orders", (DAYS[0], DAYS[3]))
    check = checks(result, "raw_shop_orders")["delivery"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "delivery:as_before" in str(check.description)
