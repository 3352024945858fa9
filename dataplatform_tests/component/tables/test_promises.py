"""Every rule that a shipped contract adds to its columns: kept by good rows, and broken by the row it is meant for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import ibis
import pyarrow as pa
import pytest

from dataplatform.contracts.model import WHOLE, Contract, Layer, RuleKind, Severity
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.duckdb import DuckDBInstance, DuckDBSession
from dataplatform.quality.audit import audit
from dataplatform.quality.context import AuditContext
from dataplatform_tests.unit.tables.making import TABLES, Row, contract, day, line, make

SHIPPED = sorted(path for path in TABLES.glob("*/*.yaml") if path.parent.name != Layer.RAW)
DAY = "2011-01-10"
ENGLAND = {"country_code": "GB", "country_code3": "GBR", "country_name": "United Kingdom", "continent": "Europe"}
CALENDAR = {"calendar_start_date": "2011-01-09", "calendar_end_date": "2011-01-11"}


@cache
def good() -> Mapping[str, Sequence[Row]]:
    """Rows of every table, as its function makes them of one ledger line; members that are unknown come first."""
    sold = line()
    customers = _unknown_first(make("dim_customer", sales_lines=[sold]), "customer_key")
    products = _unknown_first(make("dim_product", sales_lines=[sold]), "product_key")
    countries = make("dim_location", sales_lines=[sold], raw_reference_countries=[ENGLAND])
    locations = _unknown_first(countries, "location_key")
    (fact,) = make(
        "fact_sales", sales_lines=[sold], dim_customer=customers, dim_product=products, dim_location=locations
    )
    calendar = make("dim_date", CALENDAR, raw_reference_bank_holidays=[])
    return {
        "sales_lines": [{**sold, "line_number": n, "invoice_no": f"54{n:04}"} for n in range(1, 101)],
        "dim_date": sorted(calendar, key=lambda row: row["date_key"]),
        "dim_location": locations,
        "dim_product": products,
        "dim_customer": customers,
        "fact_sales": [{**fact, "line_number": n, "sale_key": 2011011000000000 + n} for n in range(1, 101)],
        "daily_sales": make("daily_sales", fact_sales=[fact]),
        "daily_country_sales": make("daily_country_sales", fact_sales=[fact], dim_location=locations),
        "monthly_product_sales": make("monthly_product_sales", fact_sales=[fact]),
        "monthly_customer_cohorts": make("monthly_customer_cohorts", fact_sales=[fact]),
        "customer_metrics": make("customer_metrics", fact_sales=[{**fact, "customer_id": n} for n in range(1, 11)]),
    }


def _unknown_first(rows: list[Row], key: str) -> list[Row]:
    return sorted(rows, key=lambda row: row[key])


def known(column: str) -> list[Any]:
    """What a relationship finds in the column of the table it points at."""
    others = {"date_key": [20110110], "customer_id": [17850, *range(1, 11)], "country_code": ["GB"]}
    dimensions = {"customer_key": "dim_customer", "product_key": "dim_product", "location_key": "dim_location"}
    return others.get(column) or [row[column] for row in good()[dimensions[column]]]


FREE, ONE = Decimal("0.000"), Decimal("1.000")
SECOND: Row = {
    "customer_key": 7,
    "customer_id": 17850,
    "country": "Austria",
    "first_seen_on": day("2011-01-01"),
    "valid_from": day(DAY),
    "valid_to": day("9999-12-31"),
    "is_current": True,
}
BROKEN: list[tuple[str, str, Row]] = [
    ("sales_lines", "quantity_is_not_zero", {"quantity": 0}),
    ("sales_lines", "only_adjustments_have_negative_prices", {"unit_price": -ONE}),
    ("sales_lines", "repeated_lines", {"invoice_no": "540002"}),
    ("sales_lines", "country:named", {"country": None}),
    ("sales_lines", "customer_id:minimum", {"customer_id": -1}),
    ("sales_lines", "invoice_no:pattern", {"invoice_no": "X-1"}),
    ("sales_lines", "invoice_no:required", {"invoice_no": None}),
    ("sales_lines", "stock_code:required", {"stock_code": None}),
    ("sales_lines", "line_type:enum", {"line_type": "gift"}),
    ("sales_lines", "primary_key", {"line_number": 2}),
    ("dim_date", "key_is_the_day", {"date_key": 20110110}),
    ("dim_date", "holidays_have_names", {"is_bank_holiday": True}),
    ("dim_date", "no_day_is_missing", {"calendar_date": day("2011-01-07")}),
    ("dim_location", "countries_have_codes", {"country_code3": "GBR"}),
    ("dim_location", "countries_are_recognised", {"location_key": 5, "country": "Atlantis"}),
    ("dim_location", "has_one_unknown_member", {"location_key": 5}),
    ("dim_location", "country_code:relationship", {"country_code": "XX"}),
    ("dim_location", "country:unique", {"country": "United Kingdom"}),
    ("dim_product", "products_are_charged_as_such", {"is_product": True}),
    ("dim_product", "seen_in_order", {"first_seen_on": day("2011-01-11"), "last_seen_on": day("2011-01-10")}),
    ("dim_product", "has_one_unknown_member", {"product_key": 5}),
    ("dim_product", "description:mostly_described", {"description": None}),
    ("dim_customer", "versions_last", {"valid_to": day("1900-01-01")}),
    ("dim_customer", "current_versions_are_open", {"is_current": False}),
    ("dim_customer", "has_one_unknown_member", {"customer_key": 5}),
    ("fact_sales", "net_is_total_minus_discount", {"discount_amount": ONE}),
    ("fact_sales", "net_is_the_ledgers", {"net_amount": ONE, "total_amount": ONE}),
    ("fact_sales", "key_is_day_and_line", {"line_number": 101}),
    ("fact_sales", "named_customers_are_known", {"customer_key": 0}),
    ("fact_sales", "products_and_locations_are_known", {"product_key": 0}),
    ("fact_sales", "products_and_locations_are_known", {"location_key": 0}),
    ("fact_sales", "primary_key", {"sale_key": 2011011000000002}),
    ("fact_sales", "date_key:relationship", {"date_key": 20110111}),
    ("fact_sales", "customer_key:relationship", {"customer_key": 5}),
    ("fact_sales", "product_key:relationship", {"product_key": 5}),
    ("fact_sales", "location_key:relationship", {"location_key": 5}),
    ("daily_sales", "net_is_gross_minus_cancelled", {"cancelled_amount": ONE}),
    ("daily_sales", "orders_have_lines", {"order_count": 9}),
    ("daily_sales", "average_needs_orders", {"average_order_amount": None}),
    ("daily_country_sales", "net_is_gross_minus_cancelled", {"gross_amount": ONE}),
    ("daily_country_sales", "orders_have_lines", {"order_count": 9}),
    ("monthly_product_sales", "net_is_gross_minus_cancelled", {"net_amount": FREE}),
    ("monthly_customer_cohorts", "active_customers_are_customers", {"active_customer_count": 9}),
    ("monthly_customer_cohorts", "all_are_active_at_first", {"customer_count": 9}),
    ("monthly_customer_cohorts", "active_ratio:maximum", {"active_ratio": 1.5}),
    ("customer_metrics", "orders_have_dates", {"order_count": 0}),
    ("customer_metrics", "orders_end_after_they_start", {"last_order_date": day("2011-01-09")}),
    ("customer_metrics", "recency_score:maximum", {"recency_score": 6}),
    ("customer_metrics", "customer_id:relationship", {"customer_id": 99}),
]
"""Table, rule, and what its first row must become to break it."""

ADDED: list[tuple[str, str, Row]] = [
    ("dim_customer", "first_seen_before_later_versions", {**SECOND, "first_seen_on": day(DAY)}),
    ("dim_customer", "one_version_starts_a_day", {**SECOND, "valid_from": day("1900-01-01")}),
    ("dim_customer", "one_current_version_each", SECOND),
    ("dim_customer", "versions_cover_all_time", {**SECOND, "customer_id": 2}),
]
"""Table, rule, and a row that breaks it beside the good ones."""


@pytest.fixture
def session() -> Iterator[DuckDBSession]:
    with DuckDBInstance(threads=1).session() as opened:
        yield opened


def judge(session: DuckDBSession, table: str, rows: Sequence[Row]) -> set[str]:
    """The names of the rules that the rows break."""
    promised = contract(table)
    staged = session.from_arrow(pa.Table.from_pylist(list(rows), schema=arrow_schema(promised)))
    partitions = _partitions(promised)
    read = {name: dict.fromkeys(partitions, len(rows)) for name in promised.row_preserving}
    judged = audit(promised, staged, partitions, AuditContext(_related(session), _no_rest, read))
    return {result.rule.name for result in judged.results if not result.passed}


def _partitions(promised: Contract) -> tuple[str, ...]:
    return {"none": (WHOLE,), "day": (DAY,), "month": ("2011-01-01",)}[promised.grain]


def _related(session: DuckDBSession) -> Any:
    def values(_table: str, column: str) -> ibis.Table:
        return session.from_arrow(pa.table({column: known(column)}))

    return values


def _no_rest(_columns: Sequence[str], _replaced: Collection[str]) -> None:
    return None


@pytest.mark.parametrize("table", [path.stem for path in SHIPPED])
def test_what_the_functions_make_keeps_every_promise(session: DuckDBSession, table: str) -> None:
    assert judge(session, table, good()[table]) == set()


@pytest.mark.parametrize(("table", "rule", "change"), BROKEN)
def test_a_row_that_breaks_a_promise_is_found(session: DuckDBSession, table: str, rule: str, change: Row) -> None:
    first, *others = good()[table]
    assert rule in judge(session, table, [{**first, **change}, *others])


@pytest.mark.parametrize(("table", "rule", "row"), ADDED)
def test_a_row_that_breaks_a_promise_beside_others_is_found(
    session: DuckDBSession, table: str, rule: str, row: Row
) -> None:
    assert rule in judge(session, table, [*good()[table], row])


@pytest.mark.parametrize("table", ["sales_lines", "fact_sales"])
def test_a_day_with_far_too_few_lines_is_a_warning_and_a_closed_day_is_none(session: DuckDBSession, table: str) -> None:
    assert judge(session, table, good()[table][:99]) == {"rows_per_day"}
    assert judge(session, table, []) == set()


def test_two_rows_for_one_day_are_found(session: DuckDBSession) -> None:
    assert judge(session, "daily_sales", [*good()["daily_sales"]] * 2) == {"one_row_a_day", "primary_key"}


def test_scores_that_are_not_split_evenly_are_a_warning(session: DuckDBSession) -> None:
    assert judge(session, "customer_metrics", [{**row, "recency_score": 5} for row in good()["customer_metrics"]]) == {
        "scores_split_evenly"
    }


def test_every_rule_that_a_contract_writes_down_is_shown_broken() -> None:
    shown = {(table, rule) for table, rule, _ in (*BROKEN, *ADDED)}
    shown |= {(table, "rows_per_day") for table in ("sales_lines", "fact_sales")}
    shown |= {("daily_sales", "one_row_a_day"), ("customer_metrics", "scores_split_evenly")}
    written = {
        (path.stem, rule.name)
        for path in SHIPPED
        for rule in contract(path.stem).rules
        if rule.test in {"predicate", "sql", "expectation", "duplicateValues", "rowCount", "nullValues"}
    }
    assert written <= shown


def test_great_expectations_judges_the_customers_two_rules() -> None:
    rules = contract("customer_metrics").rules_of(RuleKind.EXPECTATIONS)
    assert {rule.name: rule.severity for rule in rules} == {
        "orders_end_after_they_start": Severity.ERROR,
        "scores_split_evenly": Severity.WARNING,
    }
