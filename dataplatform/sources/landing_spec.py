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
_MARKER = re.compile(r"[^{}*/]*\{date\}[^{}*/]*")
_ANY_DAY = "2000-01-01"


class LandingSpec(BaseModel):
    """The `source` of a landing table. `columns` maps each column of the table to its name in the header.

    `pattern` is a file name in which `{date}` stands for the day and `*` for anything; `.gz` may follow it. `success`
    is the name of the marker without which a day's files are not read yet; there is none when it is empty.
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
    success: str = ""

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

    @field_validator("success")
    @classmethod
    def _marker_has_a_date(cls, success: str) -> str:
        if success and not _MARKER.fullmatch(success):
            raise ValueError(f"{success!r} does not hold {{date}} once, and no *; write one such as {{date}}.done")
        return success

    def marker_of(self, partition: str) -> str:
        """The name of the marker that says that a day's files are complete."""
        return f"{self.folder}/{self.success.replace('{date}', partition)}"

    def marks(self, name: str) -> str | None:
        """The day whose marker this is, or None."""
        before, _, after = self.success.partition("{date}")
        found = name.removeprefix(before).removesuffix(after)
        is_marker = bool(self.success) and name == f"{before}{found}{after}"
        return _day(found) if is_marker else None

    def partition_of(self, name: str) -> str | None:
        """The day a file name belongs to, or None when it follows no agreed name."""
        match = self._names.fullmatch(name)
        return None if match is None else _day(match["date"])

    @cached_property
    def _names(self) -> re.Pattern[str]:
        before, _, after = self.pattern.partition("{date}")
        anything = ".*".join(map(re.escape, after.split("*")))
        return re.compile(rf"{re.escape(before)}(?P<date>\d{{4}}-\d\d-\d\d){anything}(?:\.gz)?", re.DOTALL)


def _day(text: str) -> str | None:
    try:
        return text if date.fromisoformat(text).isoformat() == text else None
    except ValueError:
        return None


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
    marker = spec.success.replace("{date}", _ANY_DAY)
    if spec.success and spec.partition_of(marker) is not None:
        yield f"source.success: {marker} would be read as a delivery by {spec.pattern}; give it another name"
    if len(set(spec.columns.values())) < len(spec.columns):
        yield "source.columns: two columns are read from one; name each of the header's columns once"
