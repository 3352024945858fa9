"""Reference data that libraries know: public holidays, countries.

It enters as raw tables, so that transforms stay pure and what was known is kept. A library's version is the
signature: what it knows changes only with it. Libraries are imported when rows are made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dataplatform.contracts.model import WHOLE, Contract, Grain
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import ContractError, PermanentError
from dataplatform.sources.base import Delivery, Offer, Offers, wrong_source

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[str | date | None, ...]

RETIRED_COUNTRIES = frozenset({"AN", "CS"})
"""Codes that ISO 3166-1 has withdrawn (Netherlands Antilles, Serbia and Montenegro) and the library still lists."""


class Holidays(BaseModel):
    """Public holidays of one place: one row per day, from `first_year` to `last_year`, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: ClassVar[tuple[str, ...]] = ("holiday_date", "name", "region")

    kind: Literal["reference"]
    provider: Literal["holidays"]
    region: str
    first_year: int
    last_year: int
    language: str

    def rows(self) -> Iterator[Row]:
        """In order of days; several holidays on one day are one row. PermanentError for an unknown region."""
        import holidays

        country, _, subdivision = self.region.partition("-")
        years = range(self.first_year, self.last_year + 1)
        try:
            known = holidays.country_holidays(country, subdiv=subdivision or None, years=years, language=self.language)
        except NotImplementedError as error:
            raise PermanentError(f"source.region: no public holidays are known for {self.region!r}: {error}") from error
        for day, name in sorted(known.items()):
            yield day, name, self.region


class Countries(BaseModel):
    """The countries of ISO 3166-1, one row per code. Region and continent are the UN's; Antarctica has neither."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: ClassVar[tuple[str, ...]] = ("country_code", "country_code3", "country_name", "region", "continent")

    kind: Literal["reference"]
    provider: Literal["countryinfo"]

    def rows(self) -> Iterator[Row]:
        """In order of codes. The library lists some countries twice (Wales is GB too): what it finds by code counts."""
        from countryinfo import CountryInfo, all_countries

        codes = {country.iso(2) for country in all_countries()} - RETIRED_COUNTRIES - {""}
        for code in sorted(codes):
            country = CountryInfo(code)
            yield code, country.iso(3), country.name(), country.subregion() or None, country.region() or None


Reference = Annotated[Holidays | Countries, Field(discriminator="provider")]
_REFERENCE: TypeAdapter[Holidays | Countries] = TypeAdapter(Reference)


class ReferenceSource:
    """What a library knows, as one delivery. Raises ContractError when the contract does not describe one."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._reference = _reference(contract)

    def offers(self, first: str, last: str) -> Offers:  # noqa: ARG002 - as every source
        """Always one: the table is unpartitioned, and its slice belongs to every range."""
        provider = self._reference.provider
        return Offers({WHOLE: Offer(WHOLE, f"{provider} {version(provider)}")})

    def fingerprint(self, offer: Offer) -> str:  # noqa: ARG002 - as every source
        """Of the rows: most versions of a library change nothing about them."""
        return self._fingerprint

    def is_closed(self, partition: str) -> bool:  # noqa: ARG002 - as every source
        return False

    def strays(self) -> tuple[str, ...]:
        return ()

    def expected_rows(self, partitions: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(partitions, len(self._rows))

    def deliver(self, partition: str) -> Delivery:
        offer = self.offers(WHOLE, WHOLE)[WHOLE]
        return Delivery(
            partition, "accepted", fingerprint=self._fingerprint, signature=offer.signature, table=self._table()
        )

    def deliveries(self, partitions: Sequence[str]) -> Iterator[Delivery]:
        return (self.deliver(partition) for partition in partitions)

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        return tuple(self._reference.rows())

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self._rows, default=str).encode()).hexdigest()

    def _table(self) -> pa.Table:
        import pyarrow as pa

        schema = arrow_schema(self._contract)
        named = (dict(zip(self._reference.columns, row, strict=True)) for row in self._rows)
        return pa.Table.from_pylist(list(named), schema=schema)


def _reference(contract: Contract) -> Holidays | Countries:
    try:
        reference = _REFERENCE.validate_python(dict(contract.source or {}))
    except ValidationError as error:
        raise wrong_source(contract, error) from None
    problems = []
    if contract.grain is not Grain.NONE:
        problems.append("customProperties.partitioning: reference data comes whole; remove it")
    if set(contract.column_names) != set(reference.columns):
        problems.append(f"schema: {reference.provider} brings the columns {', '.join(reference.columns)}; name these")
    if problems:
        raise ContractError(f"{contract.path}: {problem}" for problem in problems)
    return reference
