"""Answers as people and programs take them: a table, CSV, JSON or Parquet.

Nothing loses digits: CSV and JSON write decimals with all their places, JSON as strings, because most readers turn
JSON's numbers into floats. Integers stay numbers; surrogate keys have up to 60 bits, so read them with a parser that
keeps integers exact. NULL is an empty field in CSV (the empty string is `""`) and `null` in JSON, as are NaN and
infinities there. Timestamps are ISO 8601 in UTC.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dataplatform.errors import UnknownNameError
from dataplatform.serving.statement import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.serving.query import Answer

_WIDE = 10_000
"""Characters per line where nobody looks at a terminal: nothing is folded."""


def write_answer(answer: Answer, form: str, output: Path | None = None) -> None:
    """Writes the answer as `table`, `csv`, `json` or `parquet`, to standard output or, whole or not at all, to a file.

    Raises UnknownNameError for another format, and QueryError for Parquet on a terminal or where no file can be.
    """
    if form not in _WRITERS:
        raise UnknownNameError("format", form, _WRITERS)
    if output is None and form == "parquet" and sys.stdout.isatty():
        raise QueryError("Parquet is not for terminals; redirect the output, or write it with --output FILE")
    with _sink(output) as sink:
        _WRITERS[form](answer, sink)


@contextmanager
def _sink(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.is_dir() or not output.parent.is_dir():
        what = "is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise QueryError(f"cannot write {output}: {what}; name a file in a folder that is there")
    partial = output.with_name(f"{output.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _write_table(answer: Answer, sink: BinaryIO) -> None:
    import pyarrow as pa
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    on_terminal = sink is sys.stdout.buffer and sys.stdout.isatty()
    text = io.TextIOWrapper(sink, encoding="utf-8", write_through=True)
    console = Console(file=text, width=None if on_terminal else _WIDE, force_terminal=on_terminal)
    rows = pa.Table.from_batches(answer.batches(), schema=answer.schema)
    if rows.column_names == ["explain_key", "explain_value"]:
        text.writelines(f"{plan}\n" for plan in rows.column("explain_value").to_pylist())
    else:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for field in rows.schema:
            table.add_column(Text(field.name), justify="right" if _is_number(field.type) else "left", overflow="fold")
        for row in rows.to_pylist():
            table.add_row(
                *(Text("NULL", style="dim") if value is None else Text(_shown(value)) for value in row.values())
            )
        console.print(table)
        more = "; there are more: raise --limit" if answer.is_cut else ""
        console.print(Text(f"\n{answer.rows:,} row{'' if answer.rows == 1 else 's'}{more}", style="dim"))
    text.detach()


def _write_csv(answer: Answer, sink: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    schema = pa.schema([pa.field(f.name, f.type if _is_plain(f.type) else pa.string()) for f in answer.schema])
    with pc.CSVWriter(sink, schema) as writer:
        for batch in answer.batches():
            columns = [
                column if _is_plain(column.type) else pa.array([_csv_text(v) for v in column.to_pylist()], pa.string())
                for column in batch.columns
            ]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))


def _write_json(answer: Answer, sink: BinaryIO) -> None:
    separator = b"[\n"
    for batch in answer.batches():
        for row in batch.to_pylist():
            record = {name: _json_value(value) for name, value in row.items()}
            sink.write(separator + json.dumps(record, ensure_ascii=False).encode())
            separator = b",\n"
    sink.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def _write_parquet(answer: Answer, sink: BinaryIO) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(sink, answer.schema, compression="zstd") as writer:
        for batch in answer.batches():
            writer.write_batch(batch)


_WRITERS: Mapping[str, Callable[[Answer, BinaryIO], None]] = {
    "table": _write_table,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}
FORMATS = tuple(_WRITERS)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow's CSV writer writes the type as it should stand there."""
    import pyarrow as pa

    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(text or _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_date32(kind))


def _json_value(value: Any) -> Any:
    """A value as JSON can hold it without losing anything but the difference between NaN and NULL."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):  # integers beyond 64 bits, such as a sum's, come as decimals without places
        return str(value) if value.as_tuple().exponent else int(value)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    return _shown(value)


def _csv_text(value: Any) -> str | None:
    if value is None:
        return None
    held = _json_value(value)
    return held if isinstance(held, str) else json.dumps(held, ensure_ascii=False)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        at = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return at.isoformat() + ("Z" if value.tzinfo else "")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict):
        return json.dumps(_json_value(value), ensure_ascii=False)
    return str(value)
