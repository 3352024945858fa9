"""What an engine must do for one step: open lake slices, stage a candidate once, hand out its rows.

A session is one connection, used by one step and closed at its end. Inputs, candidate and audit share it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa
    from ibis.backends import BaseBackend

    from dataplatform.contracts.model import Contract
    from dataplatform.lake.table import Opened

ROW_ERRORS = "_row_errors"
"""Reserved column a function may return: reasons, per row, why the row cannot be published (array of strings)."""


@dataclass(frozen=True)
class Staged:
    """A candidate, computed once: contract columns in order and, when the function returned it, `_row_errors`.

    `rounded` counts, per column, the rows in which the cast to the contract's type changed the value.
    """

    table: ibis.Table
    rounded: Mapping[str, int]


class Session(Protocol):
    """One step's connection to an engine."""

    @property
    def backend(self) -> BaseBackend: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def open(
        self, opened: Opened, partitions: Collection[str] | None = None, columns: Sequence[str] = ()
    ) -> ibis.Table:
        """The rows of `partitions` (all when None) of a lake table, in contract columns and types."""
        ...

    def from_arrow(self, data: pa.Table) -> ibis.Table:
        """An Arrow table as a relation of this session, not copied."""
        ...

    def stage(self, candidate: ibis.Table, contract: Contract) -> Staged:
        """Computes `candidate` once, cast to the contract's types. ShapeError names what does not fit."""
        ...

    def batches(self, rows: ibis.Table, contract: Contract) -> pa.RecordBatchReader:
        """The rows as Arrow batches whose physical schema is the contract's, checked before a byte is read."""
        ...

    def fingerprints(self, rows: ibis.Table, contract: Contract) -> dict[str, tuple[int, str]]:
        """Per partition: number of rows and a fingerprint that does not depend on their order."""
        ...
