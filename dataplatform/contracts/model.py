"""The one immutable model of a contract: what the rest of the platform reads.

Here live the words (layers, types, rules, windows) and nothing that parses, executes or stores them: reading
ODCS files is `reader.py`, checking the whole set is `catalog.py`, judging data is the `quality` room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from dataplatform.contracts.types import ColumnType

WHOLE = "all"
"""The partition name of a table that has no partitions: it has one slice, and this is its name."""


class Layer(StrEnum):
    """The four layers a table can live in, in the order data moves through them."""

    RAW = "raw"
    CLEANED = "cleaned"
    DIMENSIONAL = "dimensional"
    AGGREGATE = "aggregate"


class Grain(StrEnum):
    """How a table is partitioned: by business day, by business month, or not at all."""

    DAY = "day"
    MONTH = "month"
    NONE = "none"


class Severity(StrEnum):
    """What a broken rule does: an error blocks (or quarantines), a warning publishes and shows."""

    ERROR = "error"
    WARNING = "warning"


class RuleKind(StrEnum):
    """The groups rules are reported in; each is one Dagster asset check of a table that has such rules."""

    DELIVERY = "delivery"
    ROWS = "rows"
    KEYS = "keys"
    RELATIONSHIPS = "relationships"
    TABLE = "table"
    EXPECTATIONS = "expectations"
    ANOMALIES = "anomalies"


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise about the data, under a name that never changes while the promise stands.

    `test` says what is checked and `arguments` with which values; see `docs/contracts.md` for the full list.
    Row rules follow SQL's CHECK: a NULL passes unless the test is `required`.
    """

    name: str
    kind: RuleKind
    test: str
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.ERROR
    description: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type and what people are told about it. Its rules are in `Contract.rules`."""

    name: str
    type: ColumnType
    description: str = ""
    required: bool = False
    classification: str | None = None
    unit: str | None = None

    @property
    def is_private(self) -> bool:
        """Whether values must be masked wherever rows are shown."""
        return (self.classification or "public").lower() not in {"public", "internal"}


@dataclass(frozen=True, slots=True)
class Window:
    """Which partitions of an input one slice reads.

    `same`: the slice's own period. `all`: everything published. `before`: everything before the slice.
    `previous`: the partition just before. `range`: from `back` partitions before to `ahead` after.
    """

    kind: Literal["same", "all", "before", "previous", "range"] = "same"
    back: int = 0
    ahead: int = 0

    def __str__(self) -> str:
        return f"{self.back} back, {self.ahead} ahead" if self.kind == "range" else self.kind


@dataclass(frozen=True, slots=True)
class Lookup:
    """An input of which a slice only uses the members it holds, so that other members' changes do not matter.

    `column` is the reading table's column that holds the member; `references` the dimension's column it equals
    (its natural id or its key); `uses` the dimension's columns whose change matters.
    """

    column: str
    references: str
    uses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One positional parameter of a table's function: which table it reads, and which part of it."""

    parameter: str
    table: str
    window: Window = Window()
    columns: tuple[str, ...] = ()
    lookup: Lookup | None = None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A column of the table whose sum is that of an input's rows: of `sum` over them, or their number when None."""

    column: str
    parameter: str
    sum: str | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """The identity of a dimension's rows: natural id, surrogate key and, when versioned, the interval's columns."""

    id: str
    key: str
    valid_from: str | None = None
    valid_to: str | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """When data must be there: so long after the value of `column` began. From the contract's `slaProperties`.

    `unit` is h (elapsed hours) or d (calendar days). `warn_after`, in the same unit, is when a warning comes first;
    None leaves it to whoever judges. Without `column` only the time of the last publication is promised.
    """

    value: float
    unit: Literal["h", "d"]
    column: str | None = None
    warn_after: float | None = None

    @property
    def duration(self) -> timedelta:
        return self._of(self.value)

    @property
    def warning(self) -> timedelta | None:
        """`warn_after` as a duration."""
        return None if self.warn_after is None else self._of(self.warn_after)

    def _of(self, value: float) -> timedelta:
        return timedelta(hours=value) if self.unit == "h" else timedelta(days=value)


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything one table promises. Source: the table's ODCS file at `path`."""

    layer: Layer
    name: str
    version: str
    description: str
    grain_text: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    primary_key: tuple[str, ...]
    inputs: tuple[Input, ...]
    settings: Mapping[str, Any]
    partition_column: str | None
    grain: Grain
    physical: Literal["partitioned", "none"]
    row_preserving: tuple[str, ...]
    quarantine_share: float
    rounding: Literal["exact", "half_up"]
    dimension: Dimension | None
    source: Mapping[str, Any] | None
    owner: str
    sla: Mapping[str, Any]
    tags: tuple[str, ...]
    path: Path
    reconciles: tuple[Reconciled, ...] = ()

    @property
    def full_name(self) -> str:
        """`layer.table`, as people write it in SQL."""
        return f"{self.layer}.{self.name}"

    @property
    def is_partitioned(self) -> bool:
        return self.grain is not Grain.NONE

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def private_columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns if column.is_private)

    @property
    def latency(self) -> Latency | None:
        """The promise of freshness; None when there is none."""
        promise = self.sla.get("latency")
        return None if promise is None else Latency(**promise)

    @property
    def references(self) -> frozenset[str]:
        """Tables that relationship rules point at: they must be there before this one is judged."""
        related = {str(rule.arguments["table"]) for rule in self.rules if rule.kind is RuleKind.RELATIONSHIPS}
        return frozenset(related - {self.name})

    def rules_of(self, *kinds: RuleKind) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.kind in kinds)
