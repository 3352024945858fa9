"""What a delivery looks like from outside: its columns in order, and of each which kinds of values it holds.

Kinds are told from a sample that is spread over the file, so that a delivery costs half a millisecond; values are never
kept. What changed since earlier deliveries is `drift.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 200
"""Records that are looked at; a kind that a twentieth of them has is missed once in 30,000 deliveries."""
EMPTY, TEXT = "empty", "text"
_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d?\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"
_KINDS = {
    "empty": r"\s*",
    "integer": r"[+-]?\d+",
    "decimal": r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?",
    "decimal comma": r"[+-]?\d+(?:\.\d{3})*,\d+",
    "date YYYY-MM-DD": _DATE,
    "time YYYY-MM-DD hh:mm": rf"{_DATE}[ T]{_TIME}",
    "date with slashes": r"\d?\d/\d?\d/\d{2,4}",
    "time with slashes": rf"\d?\d/\d?\d/\d{{2,4}} {_TIME}",
    "date with dots": r"\d?\d\.\d?\d\.\d{2,4}",
    "time with dots": rf"\d?\d\.\d?\d\.\d{{2,4}} {_TIME}",
}
_PATTERN = re.compile("|".join(f"(?P<k{number}>{pattern})" for number, pattern in enumerate(_KINDS.values())), re.ASCII)
_NAMES = {f"k{number}": name for number, name in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One delivered column: its place in the header, from 1, and the share of its cells by kind."""

    name: str
    position: int
    kinds: Mapping[str, float]

    @property
    def kind(self) -> str:
        """The kind of most cells that hold anything; `empty` when none does."""
        held = {kind: share for kind, share in self.kinds.items() if kind != EMPTY}
        return max(held, key=lambda kind: held[kind]) if held else EMPTY

    @property
    def empty_share(self) -> float:
        return self.kinds.get(EMPTY, 0.0)


def profile(cells: pa.Table) -> tuple[ColumnProfile, ...]:
    """Looks at a sample of text columns; without records, every column has no kinds at all."""
    step = max(1, -(-cells.num_rows // SAMPLE))
    sample = cells.take(list(range(0, cells.num_rows, step))) if step > 1 else cells
    return tuple(
        ColumnProfile(name, position, _shares(sample.column(position - 1).to_pylist()))
        for position, name in enumerate(cells.column_names, start=1)
    )


def _shares(values: Sequence[str | None]) -> dict[str, float]:
    counts = Counter(kind_of(value or "") for value in values)
    return {kind: round(count / len(values), 4) for kind, count in counts.most_common()}


@lru_cache(maxsize=8192)
def kind_of(value: str) -> str:
    """What one cell looks like, by the narrowest kind that covers all of it."""
    found = _PATTERN.fullmatch(value) if len(value) <= 40 else None
    return TEXT if found is None else _NAMES[str(found.lastgroup)]
