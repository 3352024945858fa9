"""A small landing table and its files, for tests of what is made of a delivery."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from typing import Any

from dataplatform.contracts.model import Contract, Layer
from dataplatform_tests.by_hand import contract

DAY = "2011-01-04"
"""A Tuesday on which the shop is open."""
SATURDAY = "2011-01-08"
HEADER = ("Invoice", "Description", "Price")
COLUMNS = {
    "invoice": "VARCHAR",
    "description": "VARCHAR",
    "price": "VARCHAR",
    "extra_columns": "VARCHAR",
    "file_name": "VARCHAR",
    "line_number": "INTEGER",
    "business_date": "DATE",
}
SOURCE: dict[str, Any] = {
    "kind": "landing",
    "folder": "sales",
    "columns": {"invoice": "Invoice", "description": "Description", "price": "Price"},
    "closed": {"weekdays": ["saturday"]},
}


def landing_contract(table_columns: dict[str, str] | None = None, /, **source: Any) -> Contract:
    """A raw table of three delivered columns; `source` changes what its contract says of the landing."""
    return contract(
        "raw_shop_lines",
        table_columns or COLUMNS,
        layer=Layer.RAW,
        source={**SOURCE, **source},
        path="raw_shop_lines.yaml",
    )


def csv_text(rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER, **dialect: Any) -> str:
    """Rows as the standard library writes them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, **{"lineterminator": "\n", **dialect})
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def csv_bytes(*rows: Sequence[str], header: Sequence[str] = HEADER) -> bytes:
    """The same as a UTF-8 file."""
    return csv_text(rows, header).encode()


def zipped(data: bytes) -> bytes:
    """The same bytes on every call: gzip without a time."""
    return gzip.compress(data, mtime=0)
