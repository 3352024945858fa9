"""What an audit must know beyond the candidate; the room that opens tables provides it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis

    from dataplatform.quality.profiles import Profiles

Related = Callable[[str, str], "ibis.Table"]
"""Of a table's name and a column's: the published values of that column, as a table of that one column."""
Rest = Callable[[Sequence[str], Collection[str]], "ibis.Table | None"]
"""Of column names and partition names: these columns of all published rows outside these partitions, or None."""
History = Callable[[str, str], "Profiles"]
"""Of a first and a last day: the profiles of what is published in between."""


def nothing_published(_first: str, _last: str) -> Profiles:
    """The history of a table that has none."""
    return {}


@dataclass(frozen=True, slots=True)
class AuditContext:
    """Tables and counts from outside.

    `rest` is asked for keys that a slice does not prove, with the key's columns and the partition column.
    `input_rows` has, per input that the contract names in rowPreserving, the rows of each slice. `rejected` has the
    rows per partition that a source rejected before staging; they count as quarantined. `history` is asked where
    days are compared with those before them.
    """

    related: Related
    rest: Rest
    input_rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    history: History = nothing_published
