"""dimensional.dim_location: what the ledger calls a country, and what the world does."""

from __future__ import annotations

import hashlib

import pytest

from dataplatform_tests.unit.tables.making import Row, line, make, one

REFERENCE = [
    ("CY", "CYP", "Cyprus", "Western Asia", "Asia"),
    ("GB", "GBR", "United Kingdom", "Northern Europe", "Europe"),
    ("KP", "PRK", "Korea", "Eastern Asia", "Asia"),
    ("KR", "KOR", "South Korea", "Eastern Asia", "Asia"),
    ("IE", "IRL", "Ireland", "Northern Europe", "Europe"),
    ("US", "USA", "United States", "Northern America", "Americas"),
    ("ZA", "ZAF", "South Africa", "Sub-Saharan Africa", "Africa"),
]


def locations(*countries: str | None) -> list[Row]:
    names = ("country_code", "country_code3", "country_name", "region", "continent")
    return make(
        "dim_location",
        sales_lines=[line(country=country, line_number=n) for n, country in enumerate(countries, 1)],
        raw_reference_countries=[dict(zip(names, row, strict=True)) for row in REFERENCE],
    )


@pytest.mark.parametrize(
    ("country", "code", "code3", "name", "region", "continent", "is_country"),
    [
        ("United Kingdom", "GB", "GBR", "United Kingdom", "Northern Europe", "Europe", True),
        ("united kingdom", "GB", "GBR", "United Kingdom", "Northern Europe", "Europe", True),
        ("EIRE", "IE", "IRL", "Ireland", "Northern Europe", "Europe", True),
        ("RSA", "ZA", "ZAF", "South Africa", "Sub-Saharan Africa", "Africa", True),
        ("USA", "US", "USA", "United States", "Northern America", "Americas", True),
        ("Cyprus", "CY", "CYP", "Cyprus", "Western Asia", "Asia", True),
        ("Channel Islands", None, None, "Channel Islands", "Northern Europe", "Europe", False),
        ("European Community", None, None, "European Community", None, "Europe", False),
        ("Unspecified", None, None, "Unspecified", None, None, False),
        ("Atlantis", None, None, "Atlantis", None, None, False),
    ],
)
def test_a_country_as_delivered_has_the_worlds_codes_and_names(
    country: str,
    code: str | None,
    code3: str | None,
    name: str,
    region: str | None,
    continent: str | None,
    is_country: bool,
) -> None:
    assert one(locations(country), country=country) == {
        "location_key": int(hashlib.sha256(f"{country}|1900-01-01".encode()).hexdigest()[:15], 16),
        "country": country,
        "country_code": code,
        "country_code3": code3,
        "country_name": name,
        "region": region,
        "continent": continent,
        "is_country": is_country,
    }


def test_a_name_that_stands_for_a_code_is_not_looked_up_as_a_name() -> None:
    assert one(locations("Korea"), country="Korea")["country_code"] == "KR"


def test_a_country_has_one_row_however_many_lines_name_it() -> None:
    assert sorted(str(row["country"]) for row in locations("EIRE", "RSA", "EIRE")) == ["EIRE", "None", "RSA"]


def test_lines_without_a_country_refer_to_the_unknown_member_which_is_always_there() -> None:
    unknown = {
        "location_key": 0,
        "country": None,
        "country_code": None,
        "country_code3": None,
        "country_name": "Unknown",
        "region": None,
        "continent": None,
        "is_country": False,
    }
    assert locations() == locations(None) == [unknown]
