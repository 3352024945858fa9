"""Countries as the ledger writes them, with their ISO codes, names, regions and continents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from dataplatform.tables._keys import surrogate_key, unknown_member

if TYPE_CHECKING:
    import ibis.expr.types as ir

OTHER_NAMES = {"EIRE": "IE", "RSA": "ZA", "USA": "US", "UK": "GB", "UAE": "AE", "Korea": "KR", "Czechia": "CZ"}
"""What a shop writes for a country that the reference calls by another name, to its ISO 3166 code."""

AREAS = {"Channel Islands": "Northern Europe", "European Community": None}
"""Parts of Europe that are no country and have no ISO code, and the region they lie in."""


def dim_location(sales_lines: ibis.Table, raw_reference_countries: ibis.Table) -> ibis.Table:
    """One row per country as delivered, and the unknown member."""
    written = sales_lines.filter(_.country.notnull()).select("country").distinct()
    named = written.mutate(other_code=other_code(written.country))
    reference = raw_reference_countries.select("country_code", "country_code3", "country_name", "region", "continent")
    has_code = named.other_code == reference.country_code
    has_name = named.other_code.isnull() & (named.country.lower() == reference.country_name.lower())
    found = named.left_join(reference, has_code | has_name)
    members = found.select(
        surrogate_key(found.country).name("location_key"),
        "country",
        "country_code",
        "country_code3",
        ibis.coalesce(found.country_name, found.country).name("country_name"),
        ibis.coalesce(found.region, region_of_area(found.country)).name("region"),
        found.country.isin(list(AREAS)).ifelse("Europe", found.continent).name("continent"),
        _.country_code.notnull().name("is_country"),
    )
    return members.union(_unknown())


def other_code(country: ir.StringValue) -> ir.StringValue:
    """The ISO code of a country written by a name the reference does not know; NULL for any other."""
    return ibis.cases(*((country == name, code) for name, code in OTHER_NAMES.items()))


def region_of_area(country: ir.StringValue) -> ir.StringValue:
    """The region of a place that is no country, where it lies in one."""
    return ibis.cases(*((country == name, region) for name, region in AREAS.items() if region))


def _unknown() -> ibis.Table:
    return unknown_member(
        "location_key",
        country=ibis.null("string"),
        country_code=ibis.null("string"),
        country_code3=ibis.null("string"),
        country_name=ibis.literal("Unknown"),
        region=ibis.null("string"),
        continent=ibis.null("string"),
        is_country=ibis.literal(value=False),
    )
