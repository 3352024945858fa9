"""What a contract may say about its landing, and which file names belong to which day."""

from __future__ import annotations

from typing import Any

import pytest

from dataplatform.contracts.model import Grain
from dataplatform.errors import ContractError
from dataplatform.sources import make_source
from dataplatform.sources.landing_spec import landing_spec
from dataplatform_tests.by_hand import contract
from dataplatform_tests.deliveries import COLUMNS, DAY, landing_contract


@pytest.mark.parametrize(
    "name", [f"{DAY}.csv", f"{DAY}.csv.gz", f"{DAY}-corrected.csv", f"{DAY}_v2.csv.gz", f"{DAY} (1).csv"]
)
def test_these_names_belong_to_the_day(name: str) -> None:
    assert landing_spec(landing_contract()).partition_of(name) == DAY


@pytest.mark.parametrize(
    "name",
    [
        "NOTICE.md", f"{DAY}.csv.part", f".{DAY}.csv", f"sales-{DAY}.csv", f"{DAY}.csv.gz.tmp", f"{DAY}.CSV",
        "2011-02-30.csv", "2011-1-4.csv", f"{DAY}.xlsx", "20110104.csv", "",
    ],
)  # fmt: skip
def test_these_names_belong_to_no_day(name: str) -> None:
    assert landing_spec(landing_contract()).partition_of(name) is None


def test_a_pattern_may_have_text_around_the_date() -> None:
    spec = landing_spec(landing_contract(pattern="shop.{date}_*_final.txt"))
    assert spec.partition_of(f"shop.{DAY}_7_final.txt.gz") == DAY
    assert spec.partition_of(f"shopX{DAY}_7_final.txt") is None


OUTSIDE = "is not a folder below the landing; write one such as sales"
NO_DATE = "does not hold {date} once, before any *; write one such as {date}*.csv"
NO_KEY = "there is no such key; remove it or correct its name"
TWICE = {"invoice": "Invoice", "description": "Price", "price": "Price"}
TOO_FEW = {"invoice": "Invoice", "description": "Description"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"folder": "../sales"}, f"folder: '../sales' {OUTSIDE}"),
        ({"folder": "/sales"}, f"folder: '/sales' {OUTSIDE}"),
        ({"folder": "."}, f"folder: '.' {OUTSIDE}"),
        ({"pattern": "*.csv"}, f"pattern: '*.csv' {NO_DATE}"),
        ({"pattern": "{date}/{date}.csv"}, f"pattern: '{{date}}/{{date}}.csv' {NO_DATE}"),
        ({"pattern": "*{date}.csv"}, f"pattern: '*{{date}}.csv' {NO_DATE}"),
        ({"encoding": "cp1252"}, "encoding: Input should be 'utf-8' or 'latin-1'"),
        ({"delimiter": "::"}, "delimiter: Input should be ',', ';', '\\t' or '|'"),
        ({"format": "xlsx"}, "format: Input should be 'csv'"),
        ({"folders": "sales"}, f"folders: {NO_KEY}"),
        ({"closed": {"weekday": ["saturday"]}}, f"closed.weekday: {NO_KEY}"),
        ({"columns": TWICE}, "columns: two columns are read from one; name each of the header's columns once"),
        (
            {"columns": TOO_FEW},
            "columns: column price comes from nowhere; name the header's column it is read from",
        ),
        (
            {"columns": {**TOO_FEW, "price": "Price", "file_name": "File"}},
            "columns: column file_name is filled by the platform; give the delivered one another name",
        ),
        ({"kind": "drop"}, "kind: 'drop' is no kind of source; use landing or reference"),
    ],
)
def test_a_wrong_source_is_refused_with_its_place_and_the_fix(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(ContractError) as caught:
        make_source(landing_contract(**source), landing="landing")
    assert caught.value.problems == (f"raw_shop_lines.yaml: source.{problem}",)


def test_a_landing_table_holds_text_with_its_provenance_and_is_partitioned_by_day() -> None:
    columns = {**COLUMNS, "price": "DOUBLE"}
    del columns["line_number"]
    wrong = contract("raw_shop_lines", columns, source=landing_contract().source, grain=Grain.NONE)
    with pytest.raises(ContractError) as caught:
        landing_spec(wrong)
    assert caught.value.problems == (
        "daily.yaml: customProperties.partitioning: a landing table is partitioned by the day of delivery; write day",
        "daily.yaml: schema: column price is DOUBLE; a landing table holds it as VARCHAR, as delivered",
        "daily.yaml: schema: column line_number is missing; a landing table holds it as INTEGER, as delivered",
    )


@pytest.mark.parametrize("success", ["_SUCCESS", "{date}*.done", "{date}/done", "{date}{date}"])
def test_a_marker_that_names_no_one_day_is_refused(success: str) -> None:
    with pytest.raises(ContractError, match=r"source\.success: .* does not hold \{date\} once, and no \*; write one"):
        landing_spec(landing_contract(success=success))


def test_a_marker_that_would_be_read_as_a_delivery_is_refused() -> None:
    with pytest.raises(ContractError, match=r"source\.success: 2000-01-01\.done\.csv would be read as a delivery by"):
        landing_spec(landing_contract(success="{date}.done.csv"))


@pytest.mark.parametrize(("success", "name"), [("{date}.done", f"{DAY}.done"), ("_SUCCESS_{date}", f"_SUCCESS_{DAY}")])
def test_a_marker_belongs_to_its_day_and_to_no_other_name(success: str, name: str) -> None:
    spec = landing_spec(landing_contract(success=success))
    assert spec.marks(name) == DAY
    assert spec.marker_of(DAY) == f"sales/{name}"
    assert [spec.marks(other) for other in (f"{DAY}.csv", f"x{name}", f"{name}x", name.replace("04", "99"))] == [
        None
    ] * 4
