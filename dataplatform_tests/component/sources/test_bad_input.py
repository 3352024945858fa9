"""Every kind of bad input, as files on a disk: refused, accepted with a warning, or kept apart record by record."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

import pytest

from dataplatform.errors import PermanentError
from dataplatform.sources import Delivery, make_source
from dataplatform_tests.deliveries import DAY, HEADER, csv_bytes, csv_text, landing_contract, zipped

ROWS = (("A1", "BLUE MUG", "2.55"), ("A2", "£5 VOUCHER", "5"))
SOUND = csv_bytes(*ROWS)
PLAIN, ZIPPED = f"sales/{DAY}.csv", f"sales/{DAY}.csv.gz"


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    (folder / "sales").mkdir(parents=True)
    return folder


def deliver(landing: Path, **source: Any) -> Delivery:
    return make_source(landing_contract(**source), landing=landing).deliver(DAY)


def refusal(landing: Path, **source: Any) -> str:
    """Why the day's delivery was refused; nothing of it may have been handed out."""
    delivery = deliver(landing, **source)
    assert (delivery.status, delivery.table, delivery.rejected) == ("refused", None, None)
    assert delivery.fingerprint
    assert delivery.signature
    return delivery.reason


def accepted(landing: Path, **source: Any) -> list[tuple[str, ...]]:
    """The delivered cells of a day that was accepted."""
    delivery = deliver(landing, **source)
    assert (delivery.status, delivery.reason) == ("accepted", "")
    assert delivery.table is not None
    return [tuple(row.values()) for row in delivery.table.select(["invoice", "description", "price"]).to_pylist()]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (PLAIN, b"", f"empty_file: {PLAIN}: holds 0 bytes; deliver it again"),
        (ZIPPED, b"", f"empty_file: {ZIPPED}: holds 0 bytes; deliver it again"),
        (
            ZIPPED,
            zipped(SOUND)[:-12],
            f"truncated_gzip: {ZIPPED}: ends before its compressed data does; deliver it again",
        ),
        (ZIPPED, SOUND, f"corrupt_gzip: {ZIPPED}: is not sound gzip: Not a gzipped file (b'In'); deliver it again"),
        (
            ZIPPED,
            zipped(SOUND)[:-8] + b"\0\0\0\0" + zipped(SOUND)[-4:],
            f"corrupt_gzip: {ZIPPED}: is not sound gzip: CRC check failed",
        ),
        (
            PLAIN,
            SOUND.decode().encode("latin-1"),
            f"not_decodable: {PLAIN}: is not utf-8 at byte 46, line 3; deliver it in the agreed encoding",
        ),
        (
            PLAIN,
            csv_text([], delimiter=";").encode(),
            f"wrong_delimiter: {PLAIN}: columns are separated by ';' instead of ','; deliver it as agreed",
        ),
        (
            PLAIN,
            csv_bytes(header=HEADER[:2]),
            f"missing_column: {PLAIN}: the header has no column Price",
        ),
        (
            PLAIN,
            csv_bytes(header=(*HEADER[:2], "UnitPrice")),
            f"missing_column: {PLAIN}: the header has no column Price; was Price renamed to 'UnitPrice'?",
        ),
        (
            PLAIN,
            csv_bytes(header=(*HEADER, "Price")),
            f"duplicated_column: {PLAIN}: the header names 'Price' more than once",
        ),
        (PLAIN, b"\n\n", f"no_header: {PLAIN}: holds no header line; deliver it again"),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_as_agreed_is_refused(landing: Path, name: str, content: bytes, reason: str) -> None:
    (landing / name).write_bytes(content)
    assert refusal(landing).startswith(reason)


def test_two_different_files_for_one_day_are_refused(landing: Path) -> None:
    (landing / PLAIN).write_bytes(SOUND)
    (landing / ZIPPED).write_bytes(zipped(csv_bytes(ROWS[0])))
    assert refusal(landing) == (
        f"different_files: {PLAIN}, {ZIPPED}: differ, and all are for {DAY}; leave only the right one"
    )


def test_a_link_out_of_the_landing_is_refused(landing: Path) -> None:
    outside = landing.parent / "outside.csv"
    outside.write_bytes(SOUND)
    (landing / PLAIN).symlink_to(outside)
    assert refusal(landing) == (f"outside_landing: {PLAIN}: leads out of the landing folder; deliver the file itself")


def test_a_folder_that_is_a_link_out_of_the_landing_is_refused(landing: Path) -> None:
    outside = landing.parent / "outside"
    (landing / "sales").rename(outside)
    (outside / f"{DAY}.csv").write_bytes(SOUND)
    (landing / "sales").symlink_to(outside)
    assert refusal(landing).startswith(f"outside_landing: {PLAIN}: leads out of the landing folder")


def test_a_neighbour_whose_name_begins_like_the_landing_is_outside(landing: Path) -> None:
    neighbour = landing.parent / "landing-old"
    neighbour.mkdir()
    (neighbour / "a.csv").write_bytes(SOUND)
    (landing / PLAIN).symlink_to(neighbour / "a.csv")
    assert refusal(landing).startswith("outside_landing: ")


def test_a_link_within_the_landing_is_followed(landing: Path) -> None:
    (landing / "archive.csv").write_bytes(SOUND)
    (landing / PLAIN).symlink_to("../archive.csv")
    assert accepted(landing) == list(ROWS)


def test_a_landing_that_is_itself_a_link_is_followed(landing: Path) -> None:
    (landing / PLAIN).write_bytes(SOUND)
    link = landing.parent / "link"
    link.symlink_to(landing)
    assert accepted(link) == list(ROWS)


@pytest.mark.parametrize("target", ["nowhere.csv", f"{DAY}.csv"])
def test_a_link_to_nothing_or_to_itself_is_refused(landing: Path, target: str) -> None:
    (landing / PLAIN).symlink_to(target)
    assert refusal(landing).startswith(f"not_a_file: {PLAIN}: leads nowhere: ")


def test_a_folder_in_the_place_of_a_file_is_refused(landing: Path) -> None:
    (landing / PLAIN).mkdir()
    assert refusal(landing) == f"not_a_file: {PLAIN}: is not a file; remove it and deliver a file"


def test_a_pipe_is_refused_without_waiting_for_it(landing: Path) -> None:
    os.mkfifo(landing / PLAIN)
    assert refusal(landing).startswith(f"not_a_file: {PLAIN}: is not a file")


def test_a_byte_order_mark_is_a_warning(landing: Path) -> None:
    (landing / PLAIN).write_bytes(codecs.BOM_UTF8 + SOUND)
    assert accepted(landing) == list(ROWS)
    assert deliver(landing).warnings == (f"bom: {PLAIN}: begins with a byte-order mark",)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_with_a_byte_order_mark_is_a_warning(landing: Path, encoding: str) -> None:
    (landing / ZIPPED).write_bytes(zipped(("\ufeff" + SOUND.decode()).encode(encoding)))
    assert accepted(landing) == list(ROWS)
    assert deliver(landing).warnings == (f"utf16: {ZIPPED}: is UTF-16, not utf-8",)


def test_an_added_column_is_a_warning_and_is_kept(landing: Path) -> None:
    (landing / PLAIN).write_bytes(csv_bytes(("A1", "MUG", "2", "7"), header=(*HEADER, "Till")))
    assert accepted(landing) == [("A1", "MUG", "2")]
    delivery = deliver(landing)
    assert delivery.warnings == (f"added_columns: {PLAIN}: also has 'Till'; see extra_columns",)
    assert delivery.table is not None
    assert delivery.table["extra_columns"].to_pylist() == ['{"Till": "7"}']


def test_an_identical_duplicate_is_a_warning(landing: Path) -> None:
    (landing / PLAIN).write_bytes(SOUND)
    (landing / ZIPPED).write_bytes(zipped(SOUND))
    assert accepted(landing) == list(ROWS)
    assert deliver(landing).warnings == (f"identical_duplicate: {PLAIN}, {ZIPPED}: hold the same, once is enough",)


def test_a_header_alone_on_an_open_day_is_a_warning(landing: Path) -> None:
    (landing / PLAIN).write_bytes(csv_bytes())
    assert accepted(landing) == []
    assert deliver(landing).warnings == (f"no_rows: {PLAIN}: holds a header and no records, on an open day",)


def test_no_file_on_an_open_day_is_missing(landing: Path) -> None:
    delivery = deliver(landing)
    assert (delivery.status, delivery.table) == ("missing", None)
    assert delivery.warnings == (f"file_missing: no file in sales for {DAY}, which is an open day",)


def test_columns_in_another_order_are_read_by_name_silently(landing: Path) -> None:
    (landing / PLAIN).write_bytes(csv_bytes(*(row[::-1] for row in ROWS), header=HEADER[::-1]))
    assert accepted(landing) == list(ROWS)
    assert deliver(landing).warnings == ()


def test_latin1_is_read_where_the_contract_says_so(landing: Path) -> None:
    (landing / PLAIN).write_bytes(SOUND.decode().encode("latin-1"))
    assert accepted(landing, encoding="latin-1") == list(ROWS)


def test_quotes_and_newlines_inside_quoted_fields_and_carriage_returns_are_fine(landing: Path) -> None:
    rows = [("A1", '7" RECORD, "BLUE"', "2"), ("A2", "two\nlines\r\nthree", "3")]
    (landing / PLAIN).write_bytes(csv_text(rows, lineterminator="\r\n").encode())
    assert accepted(landing) == rows
    assert deliver(landing).warnings == ()


def test_hurt_records_are_kept_apart_and_the_others_are_delivered(landing: Path) -> None:
    (landing / PLAIN).write_bytes(SOUND + b'A3,"NO END,3\nA4\nA5,MUG,5,,\nA6,N\0L,6\nA7,MUG,7\n')
    assert accepted(landing) == [*ROWS, ("A7", "MUG", "7")]
    delivery = deliver(landing)
    assert delivery.table is not None
    assert delivery.table["line_number"].to_pylist() == [1, 2, 7]
    assert delivery.rejected is not None
    assert delivery.rejected.to_pylist() == [
        {"file_name": PLAIN, "line_number": number, "record_text": text, "reason": reason}
        for number, text, reason in [
            (3, 'A3,"NO END,3', "broken_quoting"),
            (4, "A4", "too_few_fields: 1 instead of 3"),
            (5, "A5,MUG,5,,", "too_many_fields: 5 instead of 3"),
            (6, "A6,N\0L,6", "nul_character"),
        ]
    ]


def test_a_landing_folder_that_does_not_exist_is_an_error_and_not_a_year_of_missing_files(tmp_path: Path) -> None:
    source = make_source(landing_contract(), landing=tmp_path / "no-such-folder")
    with pytest.raises(PermanentError, match=r"there is no landing folder .*no-such-folder; create it or set"):
        source.offers(DAY, DAY)


def test_a_landing_without_the_tables_folder_has_no_deliveries(landing: Path) -> None:
    source = make_source(landing_contract(folder="returns"), landing=landing)
    assert source.offers(DAY, DAY) == {}
    assert source.deliver(DAY).reason == f"file_missing: no file in returns for {DAY}, which is an open day"


def test_a_file_where_the_tables_folder_should_be_is_an_error(landing: Path) -> None:
    (landing / "returns").write_bytes(SOUND)
    with pytest.raises(PermanentError, match=r"returns cannot be listed: .*Not a directory"):
        make_source(landing_contract(folder="returns"), landing=landing).offers(DAY, DAY)
