"""One page with the shop's figures and the verdict on them, written whole, and only when something changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from dataplatform.errors import PermanentError
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.reports import sales
from dataplatform.reports.asset import REPORT_KEY, build_report_asset
from dataplatform.reports.figures import read_figures
from dataplatform.reports.sales import report_path, report_stale, write_report
from dataplatform.warehouse.asset import WAREHOUSE_KEY
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.component.reports.shop import PublishedShop, daily
from dataplatform_tests.published import PublishedLake

NOW = datetime(2011, 2, 5, 6, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    PublishedShop(folder).fill()
    return folder


@pytest.fixture
def shop(filled: Path, tmp_path: Path) -> PublishedShop:
    shutil.copytree(filled, tmp_path, symlinks=True, dirs_exist_ok=True)
    return PublishedShop(tmp_path)


def judge(shop: PublishedShop, rule: str, statuses: Mapping[str, str], at: datetime = NOW) -> None:
    """Writes results of one rule of `aggregate.daily_sales` to the quality history, as a run would."""
    fixed = {"run_id": "r", "layer": "aggregate", "table_name": "daily_sales", "kind": "rows", "severity": "error"}
    rows = [
        {**fixed, "evaluated_at": at, "partition": partition, "rule": rule, "status": status,
         "expected": "", "found": "", "failed_rows": 0 if status == "passed" else 7, "checked_rows": 9}
        for partition, status in statuses.items()
    ]  # fmt: skip
    PlatformTables(shop.settings.lake_dir).append_results(pa.Table.from_pylist(rows))


def page(shop: PublishedShop) -> str:
    return write_report(shop.project).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """What a reader sees, roughly: no markup, single spaces."""
    visible = re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", visible)


def test_the_newest_days_figures_are_compared_with_the_same_weekday_before(shop: PublishedShop) -> None:
    text = text_of(page(shop))
    assert "Fri 4 Feb 2011, the newest of 4 days with sales since Fri 21 Jan 2011" in text
    assert "Net sales £1,234.57" in text
    assert "Gross sales £1,244.57 less £10.00 cancelled" in text
    assert "Orders 4 ▲ +0% vs Fri 28 Jan" in text


def test_months_add_up_and_the_newest_is_marked_as_running(shop: PublishedShop) -> None:
    text = text_of(page(shop))
    assert "Jan 2011 3 12 3,600 340 30 310" in text
    assert "Feb 2011 to 4 Feb 1 4 1,200 1,245 10 1,235" in text
    assert "All 4 16 4,800 1,585 40 1,545" in text


def test_countries_and_products_are_ranked_with_their_share(shop: PublishedShop) -> None:
    text = text_of(page(shop))
    assert "United Kingdom 2,400 1,159 75.0% Ireland 2,400 386 25.0%" in text
    assert "600 75.0% B2 10 200 25.0%" in text
    assert "POSTAGE" not in text


def test_a_cohort_nobody_of_which_came_is_zero_and_a_month_to_come_is_blank(shop: PublishedShop) -> None:
    cohorts = read_figures(shop.project).cohorts
    assert cohorts is not None
    assert [(month.isoformat(), customers, list(shares)) for month, customers, shares in cohorts.rows] == [
        ("2010-12-01", 10, [1.0, 0.5]),
        ("2011-01-01", 4, [1.0, 0.25]),
    ]
    text = text_of(page(shop))
    assert "Dec 2010 10 100% 50%" in text


def test_the_page_needs_nothing_from_anywhere(shop: PublishedShop) -> None:
    html = page(shop)
    addresses = set(re.findall(r"(?:https?:)?//[^\s\"'<>]+", html))
    assert addresses == {"http://www.w3.org/1999/xlink"}  # a name, not an address
    assert not re.findall(r"<script|<link|<img|<iframe|src=|@import|url\((?!#)", html)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html


def test_names_from_the_data_cannot_become_markup(shop: PublishedShop) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page(shop)


def test_equal_content_gives_an_equal_page(shop: PublishedShop) -> None:
    assert page(shop) == page(shop)


def test_a_page_is_stale_until_written_and_again_when_sales_change(shop: PublishedShop) -> None:
    assert report_stale(shop.project)
    write_report(shop.project)
    assert not report_stale(shop.project)
    shop.publish("daily_sales", [daily("2011-02-04", "99.000")], ["2011-02-04"])
    Warehouse(shop.project).refresh()
    assert report_stale(shop.project)


def test_a_page_is_stale_when_rules_were_judged_again(shop: PublishedShop) -> None:
    write_report(shop.project)
    judge(shop, "primary_key", {"2011-02-04": "passed"})
    assert report_stale(shop.project)
    write_report(shop.project)
    assert not report_stale(shop.project)


def test_a_page_is_stale_when_its_template_changed(
    shop: PublishedShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(shop.project)
    other = tmp_path / "other.j2"
    other.write_text("other", encoding="utf-8")
    monkeypatch.setattr(sales, "_TEMPLATE", other)
    assert report_stale(shop.project)


def test_a_file_that_is_not_the_page_is_stale(shop: PublishedShop) -> None:
    write_report(shop.project).write_text("something else", encoding="utf-8")
    assert report_stale(shop.project)


def test_each_rule_counts_once_by_the_worst_of_its_newest_verdicts(shop: PublishedShop) -> None:
    judge(shop, "primary_key", {"2011-02-03": "failed", "2011-02-04": "passed"})
    judge(shop, "primary_key", {"2011-02-03": "passed"}, NOW + timedelta(hours=1))
    judge(shop, "one_row", {"2011-02-03": "warned", "2011-02-04": "passed"})
    judge(shop, "label:required", {"2011-02-03": "quarantined", "2011-02-04": "warned"})
    judge(shop, "net_is_gross", {"2011-02-03": "failed", "2011-02-04": "failed"})
    text = text_of(page(shop))
    assert "✓ 1 rules passed ! 1 warned → 1 put rows in quarantine ✗ 1 failed" in text
    assert "net_is_gross aggregate.daily_sales failed 2 14" in text
    assert "label:required aggregate.daily_sales quarantined 2 14" in text
    assert "one_row aggregate.daily_sales warned 1 7" in text
    assert "primary_key aggregate" not in text


def test_rows_in_quarantine_are_counted_by_reason(shop: PublishedShop) -> None:
    judge(shop, "primary_key", {"2011-02-04": "passed"})
    rows: dict[str, list[Any]] = {
        "_status": ["quarantined"] * 3,
        "_reasons": [["late"], ["late"], ["late", "odd"]],
        "_partition": ["2011-02-04"] * 3,
    }
    PlatformTables(shop.settings.lake_dir).replace_quarantine("sales_lines", pa.table(rows), ["2011-02-04"])
    text = text_of(page(shop))
    assert "late cleaned.sales_lines row kept out 1 3" in text
    assert "odd cleaned.sales_lines row kept out 1 1" in text


def test_freshness_names_tables_rows_and_runs(shop: PublishedShop) -> None:
    text = text_of(page(shop))
    assert "aggregate.daily_sales 4 2011-02-04 2011-02-01 06:00 UTC run-1" in text
    assert "The newest day was published by run run-1" in text


def test_a_shop_without_sales_gets_a_page_that_says_so(tmp_path: Path) -> None:
    shop = PublishedShop(tmp_path)
    Warehouse(shop.project).refresh()
    text = text_of(page(shop))
    assert "No sales have been published yet." in text
    assert "Top countries" not in text


def test_without_a_warehouse_there_is_no_page(tmp_path: Path) -> None:
    shop = PublishedShop(tmp_path)
    assert report_stale(shop.project)
    with pytest.raises(PermanentError, match="there is no warehouse"):
        write_report(shop.project)
    assert not report_path(shop.project).exists()


def test_tables_of_another_shape_are_named(tmp_path: Path) -> None:
    lake = PublishedLake(tmp_path)
    lake.fill()
    Warehouse(lake.project).refresh()
    with pytest.raises(PermanentError, match=r"the sales report reads a column that the warehouse does not have"):
        write_report(lake.project)


def test_a_page_that_cannot_be_finished_leaves_the_old_one(
    shop: PublishedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page(shop)

    def stop(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(OSError, match="No space left"):
        write_report(shop.project)
    assert report_path(shop.project).read_text(encoding="utf-8") == before


def test_the_asset_comes_after_the_warehouse_and_names_its_file(shop: PublishedShop) -> None:
    asset = build_report_asset(shop.project)
    assert asset.asset_deps[REPORT_KEY] == {WAREHOUSE_KEY}
    result = dg.materialize([asset])
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["report"].value == report_path(shop.project).as_uri()


def test_the_asset_fails_with_the_reason(tmp_path: Path) -> None:
    result = dg.materialize([build_report_asset(PublishedShop(tmp_path).project)], raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    described = failure.step_failure_data.user_failure_data
    assert described is not None
    assert str(described.description).startswith("there is no warehouse")
