"""What libraries know, as deliveries."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from dataplatform.contracts.model import WHOLE, Contract, Grain, Layer
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import ContractError, PermanentError
from dataplatform.sources import make_source
from dataplatform.sources.reference import ReferenceSource
from dataplatform_tests.by_hand import contract

HOLIDAYS = {
    "kind": "reference",
    "provider": "holidays",
    "region": "GB-ENG",
    "first_year": 2011,
    "last_year": 2011,
    "language": "en_GB",
}
HOLIDAY_COLUMNS = {"region": "VARCHAR", "holiday_date": "DATE", "name": "VARCHAR"}
COUNTRY_COLUMNS = dict.fromkeys(("country_code", "country_code3", "country_name", "region", "continent"), "VARCHAR")

NO_TAG = "found using 'provider' does not match any of the expected tags: 'holidays', 'countryinfo'"


def reference(columns: dict[str, str], source: dict[str, Any], grain: Grain = Grain.NONE) -> Contract:
    return contract(
        "raw_reference", columns, layer=Layer.RAW, source=source, grain=grain, partition_column=None, path="ref.yaml"
    )


def test_bank_holidays_of_a_year_come_in_order_and_in_the_contracts_columns() -> None:
    table_contract = reference(HOLIDAY_COLUMNS, HOLIDAYS)
    delivery = make_source(table_contract, landing="nowhere").deliver(WHOLE)
    assert (delivery.status, delivery.warnings, delivery.files) == ("accepted", (), ())
    assert delivery.table is not None
    assert delivery.table.schema == arrow_schema(table_contract)
    days = delivery.table["holiday_date"].to_pylist()
    assert [str(day) for day in days] == sorted(map(str, days))
    assert (days[0], days[-1], len(days)) == (date(2011, 1, 1), date(2011, 12, 27), 11)
    assert delivery.table.to_pylist()[4] == {
        "region": "GB-ENG",
        "holiday_date": date(2011, 4, 29),
        "name": "Wedding of William and Catherine",
    }


def test_each_country_of_the_standard_comes_once_by_code_and_by_name() -> None:
    delivery = ReferenceSource(reference(COUNTRY_COLUMNS, {"kind": "reference", "provider": "countryinfo"})).deliver(
        WHOLE
    )
    assert delivery.table is not None
    rows = {row["country_code"]: row for row in delivery.table.to_pylist()}
    assert len(rows) == delivery.table.num_rows == 249
    assert (
        len({row["country_name"] for row in rows.values()}) == len({r["country_code3"] for r in rows.values()}) == 249
    )
    assert rows["GB"] == {
        "country_code": "GB",
        "country_code3": "GBR",
        "country_name": "United Kingdom",
        "region": "Northern Europe",
        "continent": "Europe",
    }
    nowhere = sorted(code for code, row in rows.items() if row["continent"] is None or row["region"] is None)
    assert nowhere == ["AQ", "HM"]


def test_the_library_still_lists_what_is_left_out() -> None:
    from countryinfo import all_countries

    listed = [country.iso(2) for country in all_countries()]
    assert {"AN", "CS"} <= set(listed)
    assert listed.count("GB") == 2


def test_the_offer_is_the_librarys_version_and_the_fingerprint_its_rows() -> None:
    source = ReferenceSource(reference(HOLIDAY_COLUMNS, HOLIDAYS))
    longer = ReferenceSource(reference(HOLIDAY_COLUMNS, {**HOLIDAYS, "last_year": 2012}))
    offer = source.offers(WHOLE, WHOLE)[WHOLE]
    assert offer.signature.startswith("holidays 0.")
    assert source.fingerprint(offer) == source.deliver(WHOLE).fingerprint != longer.fingerprint(offer)
    assert source.deliver(WHOLE).signature == offer.signature


def test_reference_data_is_never_closed_has_no_strays_and_knows_its_size() -> None:
    source = ReferenceSource(reference(HOLIDAY_COLUMNS, HOLIDAYS))
    assert (source.is_closed(WHOLE), source.strays(), source.expected_rows([WHOLE])) == (False, (), {WHOLE: 11})


def test_a_region_without_known_holidays_is_named() -> None:
    source = ReferenceSource(reference(HOLIDAY_COLUMNS, {**HOLIDAYS, "region": "GB-XXX"}))
    with pytest.raises(PermanentError, match=r"source\.region: no public holidays are known for 'GB-XXX'"):
        source.deliver(WHOLE)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (
            reference(HOLIDAY_COLUMNS, {"kind": "reference", "provider": "wikipedia"}),
            f"source: Input tag 'wikipedia' {NO_TAG}",
        ),
        (
            reference(HOLIDAY_COLUMNS, {**HOLIDAYS, "years": 3}),
            "source.holidays.years: there is no such key; remove it or correct its name",
        ),
        (
            reference(COUNTRY_COLUMNS, HOLIDAYS),
            "schema: holidays brings the columns holiday_date, name, region; name these",
        ),
        (
            reference(HOLIDAY_COLUMNS, HOLIDAYS, Grain.DAY),
            "customProperties.partitioning: reference data comes whole; remove it",
        ),
    ],
)
def test_a_wrong_reference_is_refused_with_its_place(wrong: Contract, problem: str) -> None:
    with pytest.raises(ContractError) as caught:
        make_source(wrong, landing="nowhere")
    assert caught.value.problems == (f"ref.yaml: {problem}",)
