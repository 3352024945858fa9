"""Which partitions of an input one slice reads, and the revisions it finds there."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Contract, Grain, Input

if TYPE_CHECKING:
    from dataplatform.lake.records import InputRevisions

EVERYTHING = "*"
"""Key under which a window over a whole table keeps one digest instead of a revision per partition."""


def month_of(partition: str) -> str:
    """The month partition that a day partition falls into."""
    return f"{partition[:7]}-01"


def partitions_read(
    contract: Contract, wanted: Input, upstream: Contract, partition: str, keys: Sequence[str]
) -> list[str]:
    """The partitions of `upstream` (of its `keys`, in order) that slice `partition` of `contract` reads."""
    if not upstream.is_partitioned:
        return [WHOLE]
    window = wanted.window
    if window.kind == "all" or not contract.is_partitioned:
        return list(keys)
    if window.kind == "before":
        return [key for key in keys if key < partition]
    if window.kind == "same":
        return _same(contract.grain, upstream.grain, partition, keys)
    # `previous` is one back and ends before the slice itself
    back, ahead = (1, -1) if window.kind == "previous" else (window.back, window.ahead)
    position = bisect_left(keys, partition)
    return list(keys[max(0, position - back) : position + ahead + 1])


def _same(grain: Grain, upstream: Grain, partition: str, keys: Sequence[str]) -> list[str]:
    if grain is upstream:
        return [partition]
    if grain is Grain.MONTH:
        return [key for key in keys if month_of(key) == partition]
    return [month_of(partition)]


def required(wanted: Input, partition: str, read: Collection[str]) -> frozenset[str]:
    """The partitions without which the slice cannot be made; the others may be absent.

    A day needs its own day of a daily input; a month, or a whole table, needs at least one partition (which one
    does not matter, so none is named here).
    """
    kind = wanted.window.kind
    if kind in ("before", "previous") or (len(read) != 1 and kind in ("same", "all")):
        return frozenset()
    return frozenset(read) if kind in ("same", "all") else frozenset({partition})


def revisions_read(wanted: Input, read: Collection[str], published: Mapping[str, str]) -> InputRevisions:
    """What a slice records of an input: a revision per partition, or one digest when it reads the whole table."""
    found = {key: published[key] for key in sorted(read) if key in published}
    if wanted.window.kind in ("all", "before") and set(found) != {WHOLE}:
        text = "\n".join(f"{key}={revision}" for key, revision in found.items())
        return {EVERYTHING: f"{len(found)}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"}
    return found
