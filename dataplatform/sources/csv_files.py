"""From the text of a CSV file to its records: every cell as delivered, and what could not be split into columns.

A sound file is parsed by Arrow, without a Python loop over rows; one with a hurt record is read again record by
record, so that the others survive. Both ways give the same cells. What cells mean is no business of this module.
"""

from __future__ import annotations

import difflib
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dataplatform.sources.base import FileRefusedError, Refusal

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")
_BLANK_LINES = re.compile(r"[\r\n]*")
_REST_OF_LINE = re.compile(r"[^\r\n]*")
_SHOWN = 40
"""Characters of a column's name, and names, that a message shows: a file that is none has a header of any length."""


@dataclass(frozen=True)
class Records:
    """The records of one file below its header, in order.

    `cells` has one text column per header name; an empty cell is '' and never NULL. `numbers` are the positions of
    its rows among all records, from 1; `rejected` has line_number, record_text and reason for the others.
    """

    header: tuple[str, ...]
    cells: pa.Table
    numbers: pa.Array[Any]
    rejected: pa.Table


@dataclass(frozen=True, slots=True)
class _Record:
    """`fields` is None when the quoting is broken; `end` is where the next record begins."""

    fields: list[str] | None
    text: str
    end: int


def parse(name: str, text: str, delimiter: str, expected: Collection[str]) -> Records:
    """Reads a whole file that must have the `expected` columns, in any order and beside others.

    Raises FileRefusedError when the header is not one of such a file.
    """
    first = next(_records(text, delimiter, 0), None)
    if first is None:
        raise FileRefusedError(Refusal.NO_HEADER, f"{name}: holds no header line; deliver it again")
    header, body = _judged_header(name, first, delimiter, expected), first.end
    return _parsed_by_arrow(text, delimiter, header, body) or _parsed_one_by_one(text, delimiter, header, body)


def _parsed_by_arrow(text: str, delimiter: str, header: tuple[str, ...], body: int) -> Records | None:
    """All records at once, or None when one of them may be hurt."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    empty = _past(_BLANK_LINES, text, body) == len(text)
    # Arrow closes a quoted field at the end of the file and reads "ab"c as abc: quoting is checked before
    if empty or "\0" in text or not _sound_quoting(delimiter).fullmatch(_lines_with_quotes(text)):
        return None
    try:
        cells = pa_csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    numbers = pa.array(range(1, len(cells) + 1), pa.int32())
    return Records(header, cells, numbers, _rejected([]))


def _lines_with_quotes(text: str) -> str:
    """The lines that can break the quoting. Lines without a quote leave it as it is, inside a field or between two."""
    return text if "\r" in text else "\n".join(line for line in text.split("\n") if '"' in line)


def _parsed_one_by_one(text: str, delimiter: str, header: tuple[str, ...], body: int) -> Records:
    """The same record by record, keeping apart those that are hurt."""
    import pyarrow as pa

    rows: list[Sequence[str]] = []
    numbers: list[int] = []
    rejected: list[tuple[int, str, str]] = []
    for number, record in enumerate(_records(text, delimiter, body), start=1):
        reason = _fault(record, len(header))
        if reason:
            rejected.append((number, record.text, reason))
        else:
            rows.append(record.fields or ())
            numbers.append(number)
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    arrays = [pa.array(column, pa.string()) for column in columns]
    cells = pa.Table.from_arrays(arrays, names=list(header))
    return Records(header, cells, pa.array(numbers, pa.int32()), _rejected(rejected))


def _fault(record: _Record, columns: int) -> str:
    """Why a record cannot become a row; '' when it can."""
    if "\0" in record.text:
        return "nul_character"
    if record.fields is None:
        return "broken_quoting"
    if len(record.fields) != columns:
        fault = "too_few_fields" if len(record.fields) < columns else "too_many_fields"
        return f"{fault}: {len(record.fields)} instead of {columns}"
    return ""


def _rejected(rows: Sequence[tuple[int, str, str]]) -> pa.Table:
    import pyarrow as pa

    types: dict[str, pa.DataType] = {"line_number": pa.int32(), "record_text": pa.string(), "reason": pa.string()}
    schema = pa.schema(types)
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


# records by RFC 4180, with these freedoms: a line may end in \n, \r\n or \r, blank lines are skipped, and a quote
# inside a field that did not begin with one is a character like others


@cache
def _sound_quoting(delimiter: str) -> re.Pattern[str]:
    """Matches a whole file in which every quote that opens a field is closed before the next delimiter."""
    end = rf"[{re.escape(delimiter)}\r\n]"
    inside = rf"(?<=[^{re.escape(delimiter)}\r\n])\""
    return re.compile(rf'(?:[^"]++|{inside}|"[^"]*+(?:""[^"]*+)*+"(?={end}|\Z))*+')


@cache
def _field(delimiter: str) -> re.Pattern[str]:
    """Matches one field and what ends it. Groups: quoted content, plain content, end ('' at the end of the file)."""
    split = re.escape(delimiter)
    return re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|(?!")([^{split}\r\n]*+))({split}|\r\n|\r|\n|\Z)')


def _records(text: str, delimiter: str, start: int) -> Iterator[_Record]:
    """The records from `start` on. One whose quoting is broken ends with its line, so that the next one is whole."""
    position = start
    while True:
        position = _past(_BLANK_LINES, text, position)
        if position == len(text):
            return
        record = _record(text, delimiter, position)
        yield record
        position = record.end


def _record(text: str, delimiter: str, start: int) -> _Record:
    fields: list[str] = []
    position = start
    while True:
        match = _field(delimiter).match(text, position)
        if match is None:
            position = _past(_REST_OF_LINE, text, position)
            return _Record(None, text[start:position], position)
        quoted, plain, end = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        position = match.end()
        if end != delimiter:
            return _Record(fields, text[start : match.start(3)], position)


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return position if match is None else match.end()


# the header


def _judged_header(name: str, first: _Record, delimiter: str, expected: Collection[str]) -> tuple[str, ...]:
    """The column names, when they are those of an agreed file."""
    if "\0" in first.text:
        raise FileRefusedError(
            Refusal.NOT_DECODABLE, f"{name}: holds NUL characters; UTF-16 needs a byte-order mark to be read"
        )
    header = tuple(first.fields or ())
    missing = [column for column in expected if column not in header]
    if len(missing) == len(expected):
        _refuse_other_delimiter(name, first.text, delimiter, expected)
    if first.fields is None:
        raise FileRefusedError(Refusal.NO_HEADER, f"{name}: the quoting of the header line is broken; deliver it again")
    if missing:
        raise FileRefusedError(Refusal.MISSING_COLUMN, f"{name}: {_missing(missing, header, expected)}")
    repeated = [column for column, times in Counter(header).items() if times > 1]
    if repeated:
        raise FileRefusedError(
            Refusal.DUPLICATED_COLUMN, f"{name}: the header names {names_shown(repeated)} more than once"
        )
    return header


def _refuse_other_delimiter(name: str, header_text: str, delimiter: str, expected: Collection[str]) -> None:
    for other in DELIMITERS:
        if other != delimiter and set(header_text.replace('"', "").split(other)) & set(expected):
            raise FileRefusedError(
                Refusal.WRONG_DELIMITER,
                f"{name}: columns are separated by {other!r} instead of {delimiter!r}; deliver it as agreed",
            )


def _missing(missing: Sequence[str], header: Sequence[str], expected: Collection[str]) -> str:
    unknown = [column for column in header if column not in expected]
    text = f"the header has no column {', '.join(missing)}"
    renamed = [(near[0], column) for column in missing if (near := difflib.get_close_matches(column, unknown, 1, 0.5))]
    if renamed:
        text += "; was " + ", ".join(f"{column} renamed to {found!r}" for found, column in renamed) + "?"
    return text + (f"; it also has {names_shown(unknown)}" if unknown and not renamed else "")


def names_shown(names: Sequence[str]) -> str:
    """Column names as a message quotes them, cut where they are too long or too many."""
    quoted = [repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…") for name in names[:_SHOWN]]
    return ", ".join(quoted) + (", …" if len(names) > _SHOWN else "")
