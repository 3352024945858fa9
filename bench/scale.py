"""Makes the ledger N times larger: every line N times, with shifted invoice and customer numbers, on the same days."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

INVOICE_STEP, CUSTOMER_STEP = 1_000_000, 100_000


def scale_landing(source: Path, target: Path, factor: int) -> None:
    """Writes `source`'s daily files to `target`, `factor` times as many lines each. `factor` 1 copies them."""
    target.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for path in sorted(source.glob("*.csv.gz")):
        if factor == 1:
            (target / path.name).write_bytes(path.read_bytes())
            continue
        strings = csv.ConvertOptions(column_types=dict.fromkeys(_header(path), pa.string()), strings_can_be_null=False)
        day = csv.read_csv(path, convert_options=strings, parse_options=csv.ParseOptions(newlines_in_values=True))
        copies = pa.concat_tables([_shift(day, number) for number in range(factor)])
        connection.register("copies", copies)  # DuckDB quotes only what needs it, as the ledger does; Arrow quotes all
        connection.execute(f"COPY copies TO '{target / path.name}' (FORMAT csv, HEADER, COMPRESSION gzip)")


def _header(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.readline().rstrip("\n").split(",")


def _shift(day: pa.Table, number: int) -> pa.Table:
    if number == 0:
        return day
    parts = pc.extract_regex(day["Invoice"], r"^(?P<letter>[A-Z]?)(?P<digits>\d+)$").combine_chunks()
    shifted = pc.add(pc.cast(pc.struct_field(parts, "digits"), pa.int64()), number * INVOICE_STEP)
    letter = pc.struct_field(parts, "letter")
    invoices = pc.binary_join_element_wise(letter, pc.cast(shifted, pa.string()), "")
    given = day["CustomerID"].combine_chunks()
    nobody = pc.equal(given, "")
    known = pc.cast(pc.replace_with_mask(given, nobody, "0"), pa.int64())
    customers = pc.if_else(nobody, "", pc.cast(pc.add(known, number * CUSTOMER_STEP), pa.string()))
    for name, values in (("Invoice", invoices), ("CustomerID", customers)):
        day = day.set_column(day.schema.get_field_index(name), name, pa.chunked_array([values]))
    return day


if __name__ == "__main__":
    scale_landing(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
