"""Drift: how a delivery differs from the deliveries of the days before it, said before anything breaks on it.

A deviation is told on the first deliveries that have it and then counts as usual: at most `USUAL` times. A new order of
the columns is no deviation, and neither is a share that merely moves.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dataplatform.sources.profile import EMPTY, ColumnProfile

LOOK_BACK = 20
"""Deliveries before this one that it is compared with."""
USUAL = 3
"""What so many of them have is as usual; so is what all have, where there are fewer."""
FEW = 20
"""Below so many records nothing is said about kinds of values."""
NEW_SHARE = 0.2
"""Of the cells that hold anything: so many of an unusual kind are a change."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One delivery as it was recorded."""

    partition: str
    records: int
    columns: Mapping[str, ColumnProfile]
    """By name, in the order of the header."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One deviation: of which column, what was seen and expected, and the first delivery in a row that has it."""

    column: str
    seen: str
    expected: str
    since: str

    def __str__(self) -> str:
        return f"column {self.column!r}: {self.seen}, expected {self.expected}, since {self.since}"


def drift(now: Seen, before: Sequence[Seen]) -> list[Drift]:
    """What is not as usual about `now`. `before` are the deliveries of earlier days, in order; none: nothing to say."""
    recent = [seen for seen in before if seen.columns][-LOOK_BACK:]
    if not recent or not now.columns:
        return []
    return [*_names(now, recent), *_kinds(now, recent)]


def _is_usual(times: int, recent: Sequence[Seen]) -> bool:
    return times >= min(USUAL, len(recent))


def _names(now: Seen, recent: Sequence[Seen]) -> Iterator[Drift]:
    counts = Counter(name for seen in recent for name in seen.columns)
    new = [column for column in now.columns.values() if not _is_usual(counts[column.name], recent)]
    # gone means that it was there just before; it is told as long as a delivery that had it is as near as that
    near = {name for seen in recent[-USUAL:] for name in seen.columns}
    gone = [name for name in near if name not in now.columns and _is_usual(counts[name], recent)]
    renamed = dict(_renamed(new, sorted(gone), recent))
    for column in new:
        since = _since(now, recent, partial(_has_column, column.name))
        was = renamed.get(column.name)
        seen = f"likely the new name of {was!r}" if was else "a new column"
        yield Drift(column.name, seen, repr(was) if was else "none of this name", since)
    for name in sorted(set(gone) - set(renamed.values())):
        since = _since(now, recent, partial(_lacks_column, name))
        yield Drift(name, "gone", "a column of this name", since)


def _has_column(name: str, seen: Seen) -> bool:
    return name in seen.columns


def _lacks_column(name: str, seen: Seen) -> bool:
    return name not in seen.columns


def _renamed(new: Sequence[ColumnProfile], gone: Sequence[str], recent: Sequence[Seen]) -> Iterator[tuple[str, str]]:
    """New name -> old one: of those that are gone, the one in its place with values alike, else the most similar."""
    left = list(gone)
    last = {name: column for seen in recent for name, column in seen.columns.items()}
    for column in new:
        in_place = [n for n in left if last[n].position == column.position and last[n].kind == column.kind]
        similar = difflib.get_close_matches(column.name, left, 1, 0.5)
        if found := (similar or in_place):
            left.remove(found[0])
            yield column.name, found[0]


def _kinds(now: Seen, recent: Sequence[Seen]) -> Iterator[Drift]:
    if now.records < FEW:
        return
    for name, column in now.columns.items():
        past = [(seen, seen.columns[name]) for seen in recent if seen.records >= FEW and name in seen.columns]
        if past:
            yield from _kind(now, column, past)


def _kind(now: Seen, column: ColumnProfile, past: Sequence[tuple[Seen, ColumnProfile]]) -> Iterator[Drift]:
    seen_by, enough = [seen for seen, _ in past], min(USUAL, len(past))
    counts = Counter(kind for _, found in past for kind in found.kinds)
    usual = [kind for kind, times in counts.items() if times >= enough]
    held = {kind: share for kind, share in column.kinds.items() if kind != EMPTY}
    if not held and not _is_empty_usual(past, enough):
        since = _since(now, seen_by, lambda seen: _empty(seen.columns.get(column.name)))
        yield Drift(column.name, "every cell is empty", _told(usual), since)
        return
    unusual = [kind for kind in held if kind not in usual]
    full = [kind for kind in usual if kind != EMPTY]
    if full and unusual and sum(held[kind] for kind in unusual) >= NEW_SHARE * sum(held.values()):
        since = _since(now, seen_by, lambda seen: _has(seen.columns.get(column.name), unusual))
        shares = ", ".join(f"{kind} in {held[kind]:.0%} of the cells" for kind in unusual)
        yield Drift(column.name, shares, _told(usual), since)


def _is_empty_usual(past: Sequence[tuple[Seen, ColumnProfile]], enough: int) -> bool:
    return sum(_empty(found) for _, found in past) >= enough


def _empty(column: ColumnProfile | None) -> bool:
    return column is not None and column.kind == EMPTY


def _has(column: ColumnProfile | None, kinds: Sequence[str]) -> bool:
    found: Mapping[str, float] = {} if column is None else column.kinds
    return any(kind in found for kind in kinds)


def _told(kinds: Sequence[str]) -> str:
    return " or ".join(sorted(kinds)) or "values"


def _since(now: Seen, recent: Sequence[Seen], holds: Callable[[Seen], bool]) -> str:
    """The first of the deliveries without a gap before this one for which it holds."""
    first = now.partition
    for seen in reversed(recent):
        if not holds(seen):
            break
        first = seen.partition
    return first
