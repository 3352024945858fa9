"""Slices in words: as a Delta predicate, and as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from dataplatform.contracts.model import WHOLE


def predicate(column: str, partitions: Sequence[str], keys: Sequence[str] = ()) -> str:
    """The Delta predicate of exactly `partitions`: one range, leaving out what lies between and is not meant.

    Literals are plain quoted strings: delta-rs refuses typed ones.
    """
    wanted = sorted(set(partitions))
    if len(wanted) == 1:
        return f"{column} = '{wanted[0]}'"
    if not keys:
        return f"{column} IN ({_quoted(wanted)})"
    chosen = set(wanted)
    between = [key for key in keys if wanted[0] < key < wanted[-1] and key not in chosen]
    if len(between) > len(wanted):
        return f"{column} IN ({_quoted(wanted)})"
    text = f"{column} >= '{wanted[0]}' AND {column} <= '{wanted[-1]}'"
    return f"{text} AND {column} NOT IN ({_quoted(between)})" if between else text


def describe_partitions(partitions: Sequence[str]) -> str:
    """`2011-01-05`, or `2011-01-05..2011-01-09 (5)`; nothing for an unpartitioned table."""
    names = sorted(partitions)
    if not names or names == [WHOLE]:
        return ""
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]} ({len(names)})"


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
