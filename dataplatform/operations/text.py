"""Plain text for people: aligned tables, counts with thousands separators, ranges of partitions.

Plain, so that it reads the same in a terminal, a file and a pipe.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from dataplatform.contracts.model import WHOLE


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "  ") -> str:
    """Rows under their headers: numbers to the right, everything else to the left, columns two spaces apart."""
    cells = [[_cell(value) for value in row] for row in rows]
    right = [bool(cells) and all(_is_number(row[n]) for row in cells) for n in range(len(headers))]
    widths = [max(len(line[n]) for line in [list(headers), *cells]) for n in range(len(headers))]
    lines = [
        "  ".join(
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        )
        for line in [list(headers), ["-" * width for width in widths], *cells]
    ]
    return "\n".join(indent + line.rstrip() for line in lines)


def count(number: int, word: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def ranges(partitions: Collection[str], keys: Sequence[str], most: int = 4) -> str:
    """Partitions as ranges of neighbours among `keys` (all partitions in order): `2011-01-04..2011-01-07, …`.

    Nothing for an unpartitioned table; of more than `most` ranges only the ends are told.
    """
    if set(partitions) <= {WHOLE}:
        return ""
    found: list[list[str]] = []
    previous = ""
    for key in keys:
        if key in partitions:
            if previous in partitions:
                found[-1].append(key)
            else:
                found.append([key])
        previous = key
    if len(found) > most:
        return f"{found[0][0]}..{found[-1][-1]}, with gaps"
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in found)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value).replace("\n", " ")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"(-?[\d,]+(\.\d+)?)?", text) is not None
