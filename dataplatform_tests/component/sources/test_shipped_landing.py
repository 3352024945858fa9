"""The landing files that ship, read by the contracts that ship: the facts of the ledger, line by line."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import dataplatform
from dataplatform.contracts.model import WHOLE
from dataplatform.contracts.reader import read_contract
from dataplatform.sources import Delivery, Source, make_source

CHECKOUT = Path(dataplatform.__file__).parent.parent
FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)
DAYS = tuple((FIRST + timedelta(days=n)).isoformat() for n in range((LAST - FIRST).days + 1))


def shipped(table: str) -> Source:
    contract = read_contract(CHECKOUT / "dataplatform" / "tables" / "raw" / f"{table}.yaml")
    return make_source(contract, landing=CHECKOUT / "data" / "landing")


@pytest.fixture(scope="module")
def deliveries() -> list[Delivery]:
    source = shipped("raw_ledger_sales_lines")
    return [source.deliver(day) for day in DAYS]


@pytest.fixture(scope="module")
def lines(deliveries: list[Delivery]) -> pa.Table:
    return pa.concat_tables([delivery.table for delivery in deliveries if delivery.table is not None])


def answer(lines: pa.Table, select: str) -> tuple[object, ...]:
    with duckdb.connect() as connection:
        connection.register("lines", lines)
        row: tuple[object, ...] = connection.sql(f"SELECT {select} FROM lines").fetchall()[0]
        return row


def test_every_day_is_delivered_or_closed_without_a_warning(deliveries: list[Delivery]) -> None:
    statuses = [delivery.status for delivery in deliveries]
    assert (len(statuses), statuses.count("accepted"), statuses.count("closed")) == (374, 305, 69)
    assert [warning for delivery in deliveries for warning in delivery.warnings] == []
    assert sum(delivery.rejected.num_rows for delivery in deliveries if delivery.rejected is not None) == 0


def test_no_file_lies_on_a_closed_day_and_none_is_a_stray() -> None:
    source = shipped("raw_ledger_sales_lines")
    offers = source.offers(DAYS[0], DAYS[-1])
    assert len(offers) == 305
    assert [day for day in offers if source.is_closed(day)] == []
    assert source.strays() == ()


def test_lines_invoices_and_customers_are_those_of_the_ledger(lines: pa.Table) -> None:
    assert answer(
        lines,
        "count(*), count(DISTINCT invoice), count(DISTINCT stock_code), count(DISTINCT country), "
        "count(DISTINCT nullif(customer_id, '')), count_if(customer_id = ''), count_if(invoice LIKE 'C%'), "
        "count_if(description = ''), count_if(extra_columns IS NULL)",
    ) == (541_909, 25_900, 4_070, 38, 4_372, 135_080, 9_288, 1_454, 541_909)


def test_amounts_are_exact_to_the_third_decimal(lines: pa.Table) -> None:
    amount = "sum(quantity::DECIMAL(18,3) * price::DECIMAL(18,3))"
    assert answer(
        lines,
        f"{amount}, {amount} FILTER (business_date < DATE '2011-01-01'), "
        f"{amount} FILTER (business_date BETWEEN DATE '2011-11-01' AND DATE '2011-11-30'), "
        f"{amount} FILTER (country = 'United Kingdom')",
    ) == (Decimal("9747747.934"), Decimal("748957.020"), Decimal("1461756.250"), Decimal("8187806.364"))


def test_every_line_is_of_its_files_day_and_in_the_agreed_dialect(lines: pa.Table) -> None:
    assert answer(
        lines,
        "count_if(NOT starts_with(invoice_date, business_date::VARCHAR)), "
        "count_if(NOT regexp_full_match(invoice_date, '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d')), "
        "count_if(NOT regexp_full_match(price, '-?\\d+(\\.\\d{1,3})?')), "
        "count_if(NOT regexp_full_match(quantity, '-?\\d+')), count_if(NOT regexp_full_match(customer_id, '\\d*')), "
        "count_if(file_name <> 'sales/' || business_date || '.csv.gz')",
    ) == (0, 0, 0, 0, 0, 0)


def test_lines_are_numbered_from_one_without_a_gap_on_each_day(lines: pa.Table) -> None:
    days = (
        "SELECT business_date, min(line_number) AS low, max(line_number) AS high, count(*) AS n FROM lines GROUP BY 1"
    )
    with duckdb.connect() as connection:
        connection.register("lines", lines)
        assert connection.sql(f"SELECT count(*) FROM ({days}) WHERE low <> 1 OR high <> n").fetchall() == [(0,)]


def test_the_expected_rows_are_near_the_truth_and_not_below_it(deliveries: list[Delivery]) -> None:
    guesses = shipped("raw_ledger_sales_lines").expected_rows(DAYS)
    rows = {delivery.partition: delivery.table.num_rows for delivery in deliveries if delivery.table is not None}
    assert 541_909 <= sum(guesses.values()) <= 1.5 * 541_909
    assert all(guesses[day] == 0 for day in DAYS if not rows[day])


def test_every_country_of_the_ledger_is_known_by_name_but_for_these(lines: pa.Table) -> None:
    countries = shipped("raw_reference_countries").deliver(WHOLE).table
    assert countries is not None
    unknown = set(lines["country"].unique().to_pylist()) - set(countries["country_name"].to_pylist())
    assert unknown == {"Channel Islands", "EIRE", "European Community", "RSA", "USA", "Unspecified"}


def test_the_shipped_bank_holidays_cover_the_calendar() -> None:
    holidays = shipped("raw_reference_bank_holidays").deliver(WHOLE).table
    assert holidays is not None
    days = {str(day) for day in holidays["holiday_date"].to_pylist()}
    assert {day[:4] for day in days} == {str(year) for year in range(2005, 2036)}
    assert "2011-04-29" in days
