"""What a raw table's contract says about its landing folder, checked before any file is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from dataplatform.contracts.model import Contract, Grain
from dataplatform.errors import ContractError
from dataplatform.sources.base import wrong_source
from dataplatform.sources.decoding import Encoding
from dataplatform.sources.opening_days import OpeningDays

EXTRA_COLUMNS, FILE_NAME, LINE_NUMBER = "extra_columns", "file_name", "line_number"
PROVENANCE = {EXTRA_COLUMNS: "VARCHAR", FILE_NAME: "VARCHAR", LINE_NUMBER: "INTEGER"}
"""The columns that every landing table has beside its own and its partition column, with their types."""

_PATTERN = re.compile(r"[^{}*/]*\{date\}[^{}/]*")


class LandingSpec(BaseModel):
    """The `source` of a landing table. `columns` maps each column of the table to its name in the header.

    `pattern` is a file name in which `{date}` stands for the day and `*` for anything; `.gz` may follow it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["landing"]
    folder: str
    columns: dict[str, str]
    pattern: str = "{date}*.csv"
    format: Literal["csv"] = "csv"
    encoding: Encoding = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    closed: OpeningDays = OpeningDays()

    @field_validator("folder")
    @classmethod
    def _folder_is_inside(cls, folder: str) -> str:
        path = PurePosixPath(folder)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ValueError(f"{folder!r} is not a folder below the landing; write one such as sales")
        return path.as_posix()

    @field_validator("pattern")
    @classmethod
    def _pattern_has_a_date(cls, pattern: str) -> str:
        if not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} does not hold {{date}} once, before any *; write one such as {{date}}*.csv")
        return pattern

    def prefix(self, partition: str) -> str:
        """What the names of one day's files begin with."""
        return self.pattern.partition("{date}")[0] + partition

    def partition_of(self, name: str) -> str | None:
        """The day a file name belongs to, or None when it follows no agreed name."""
        match = self._names.fullmatch(name)
        if match is None:
            return None
        try:
            return date.fromisoformat(match["date"]).isoformat()
        except ValueError:
            return None

    @cached_property
    def _names(self) -> re.Pattern[str]:
        before, _, after = self.pattern.partition("{date}")
        anything = ".*".join(map(re.escape, after.split("*")))
        return re.compile(rf"{re.escape(before)}(?P<date>\d{{4}}-\d\d-\d\d){anything}(?:\.gz)?", re.DOTALL)


def landing_spec(contract: Contract) -> LandingSpec:
    """The landing of a raw table. Raises ContractError with one line per problem."""
    try:
        spec = LandingSpec.model_validate(dict(contract.source or {}))
    except ValidationError as error:
        raise wrong_source(contract, error) from None
    problems = [f"{contract.path}: {problem}" for problem in _problems(contract, spec)]
    if problems:
        raise ContractError(problems)
    return spec


def _problems(contract: Contract, spec: LandingSpec) -> Iterator[str]:
    if contract.grain is not Grain.DAY:
        yield "customProperties.partitioning: a landing table is partitioned by the day of delivery; write day"
    types = {column.name: str(column.type) for column in contract.columns}
    wanted = {**dict.fromkeys(spec.columns, "VARCHAR"), **PROVENANCE}
    for name, type_ in wanted.items():
        if types.get(name) != type_:
            found = f"is {types[name]}" if name in types else "is missing"
            yield f"schema: column {name} {found}; a landing table holds it as {type_}, as delivered"
    for name in spec.columns.keys() & PROVENANCE.keys():
        yield f"source.columns: column {name} is filled by the platform; give the delivered one another name"
    for name in types.keys() - wanted.keys() - {contract.partition_column}:
        yield f"source.columns: column {name} comes from nowhere; name the header's column it is read from"
    if len(set(spec.columns.values())) < len(spec.columns):
        yield "source.columns: two columns are read from one; name each of the header's columns once"
