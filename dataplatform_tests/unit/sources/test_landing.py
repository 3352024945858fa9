"""The verdict on a day's files, on a landing that lies in memory."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import TransientError
from dataplatform.sources.base import FileRefusedError, Refusal
from dataplatform.sources.files import Found
from dataplatform.sources.landing import LandingSource
from dataplatform_tests.deliveries import COLUMNS, DAY, HEADER, SATURDAY, csv_bytes, landing_contract, zipped

ROWS = (("A1", "BLUE MUG", "2.55"), ("A2", "", "0"))
SOUND = csv_bytes(*ROWS)


@dataclass
class MemoryFiles:
    """A landing folder `sales` in memory; an error in place of a content is raised when it is read."""

    contents: Mapping[str, bytes | Exception]
    stamps: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def list(self, folder: str) -> Sequence[Found]:
        return [
            Found(f"{folder}/{name}", len(content) if isinstance(content, bytes) else 0, self.stamps.get(name, "1"))
            for name, content in sorted(self.contents.items())
        ]

    def read(self, name: str) -> bytes:
        self.reads.append(name)
        content = self.contents[name.removeprefix("sales/")]
        if isinstance(content, Exception):
            raise content
        return content


def source(contents: Mapping[str, bytes | Exception], **changes: Any) -> LandingSource:
    return LandingSource(landing_contract(**changes), MemoryFiles(contents))


def test_an_accepted_day_has_the_contracts_columns_in_order_and_types() -> None:
    delivery = source({f"{DAY}.csv": SOUND}).deliver(DAY)
    assert (delivery.status, delivery.reason, delivery.warnings) == ("accepted", "", ())
    assert delivery.files == (f"sales/{DAY}.csv",)
    assert delivery.table is not None
    assert delivery.table.schema == arrow_schema(landing_contract())
    provenance = (None, f"sales/{DAY}.csv")
    assert [tuple(row.values()) for row in delivery.table.to_pylist()] == [
        (*ROWS[0], *provenance, 1, date(2011, 1, 4)),
        (*ROWS[1], *provenance, 2, date(2011, 1, 4)),
    ]
    assert delivery.rejected is not None
    assert delivery.rejected.schema.names == ["file_name", "line_number", "record_text", "reason"]
    assert delivery.rejected.num_rows == 0


def test_columns_in_another_order_are_found_by_name_silently() -> None:
    turned = csv_bytes(*(row[::-1] for row in ROWS), header=HEADER[::-1])
    delivery = source({f"{DAY}.csv": turned}).deliver(DAY)
    assert delivery.warnings == ()
    assert delivery.table == source({f"{DAY}.csv": SOUND}).deliver(DAY).table


def test_the_contracts_own_order_of_columns_counts() -> None:
    columns = dict(sorted(COLUMNS.items()))
    delivery = LandingSource(landing_contract(columns), MemoryFiles({f"{DAY}.csv": SOUND})).deliver(DAY)
    assert delivery.table is not None
    assert delivery.table.column_names == sorted(COLUMNS)


def test_added_columns_are_kept_as_json_in_an_order_of_their_own() -> None:
    wide = csv_bytes(("x", "A1", "MUG", "2", 'ü"'), ("", "A2", "", "3", ""), header=("Till", *HEADER, "Clerk"))
    delivery = source({f"{DAY}.csv": wide}).deliver(DAY)
    assert delivery.table is not None
    assert delivery.table["extra_columns"].to_pylist() == [
        '{"Clerk": "ü\\"", "Till": "x"}',
        '{"Clerk": "", "Till": ""}',
    ]
    assert delivery.warnings == (f"added_columns: sales/{DAY}.csv: also has 'Clerk', 'Till'; see extra_columns",)


def test_hurt_records_are_handed_over_with_file_place_text_and_reason() -> None:
    delivery = source({f"{DAY}.csv": SOUND.replace(b"A1,", b"A0\nA1,")}).deliver(DAY)
    assert delivery.status == "accepted"
    assert delivery.table is not None
    assert delivery.table["line_number"].to_pylist() == [2, 3]
    assert delivery.rejected is not None
    assert delivery.rejected.to_pylist() == [
        {
            "file_name": f"sales/{DAY}.csv",
            "line_number": 1,
            "record_text": "A0",
            "reason": "too_few_fields: 1 instead of 3",
        }
    ]


def test_a_header_alone_warns_on_an_open_day_and_not_on_a_closed_one() -> None:
    header = csv_bytes()
    open_day = source({f"{DAY}.csv": header}).deliver(DAY)
    closed_day = source({f"{SATURDAY}.csv": header}).deliver(SATURDAY)
    assert (open_day.status, closed_day.status) == ("accepted", "accepted")
    assert open_day.warnings == (f"no_rows: sales/{DAY}.csv: holds a header and no records, on an open day",)
    assert closed_day.warnings == ()
    assert open_day.table is not None
    assert open_day.table.num_rows == 0
    assert open_day.table.schema == arrow_schema(landing_contract())


def test_no_file_on_an_open_day_is_missing_and_brings_no_table() -> None:
    delivery = source({}).deliver(DAY)
    assert (delivery.status, delivery.table) == ("missing", None)
    assert delivery.reason == f"file_missing: no file in sales for {DAY}, which is an open day"
    assert delivery.warnings == (delivery.reason,)


def test_no_file_on_a_closed_day_is_an_empty_table_without_a_warning() -> None:
    delivery = source({}).deliver(SATURDAY)
    assert (delivery.status, delivery.warnings) == ("closed", ())
    assert delivery.table is not None
    assert delivery.table.num_rows == 0


def test_a_file_for_a_closed_day_is_accepted() -> None:
    delivery = source({f"{SATURDAY}.csv": SOUND}).deliver(SATURDAY)
    assert (delivery.status, delivery.warnings) == ("accepted", ())


def test_the_same_content_twice_is_read_once_with_a_warning() -> None:
    delivery = source({f"{DAY}.csv": SOUND, f"{DAY}.csv.gz": zipped(SOUND)}).deliver(DAY)
    assert delivery.warnings == (
        f"identical_duplicate: sales/{DAY}.csv, sales/{DAY}.csv.gz: hold the same, once is enough",
    )
    assert delivery.table is not None
    assert delivery.table["file_name"].unique().to_pylist() == [f"sales/{DAY}.csv"]
    assert delivery.table.num_rows == len(ROWS)


def test_two_different_files_for_one_day_are_refused() -> None:
    delivery = source({f"{DAY}.csv": SOUND, f"{DAY}-new.csv": csv_bytes(ROWS[0])}).deliver(DAY)
    assert (delivery.status, delivery.table) == ("refused", None)
    assert delivery.reason == (
        f"different_files: sales/{DAY}-new.csv, sales/{DAY}.csv: differ, and all are for {DAY}; "
        "leave only the right one"
    )


def test_a_sound_file_beside_a_broken_one_is_refused_too() -> None:
    delivery = source({f"{DAY}.csv": SOUND, f"{DAY}.csv.gz": zipped(SOUND)[:-9]}).deliver(DAY)
    assert delivery.reason.startswith(f"truncated_gzip: sales/{DAY}.csv.gz: ")


def test_a_file_that_may_not_be_read_is_refused_with_the_reason() -> None:
    locked = FileRefusedError(Refusal.UNREADABLE, f"sales/{DAY}.csv: may not be read")
    delivery = source({f"{DAY}.csv": locked}).deliver(DAY)
    assert (delivery.status, delivery.reason) == ("refused", f"unreadable: sales/{DAY}.csv: may not be read")
    assert delivery.fingerprint != source({f"{DAY}.csv": SOUND}).deliver(DAY).fingerprint


def test_a_storage_that_fails_is_no_verdict_on_the_file() -> None:
    with pytest.raises(TransientError, match="gone for now"):
        source({f"{DAY}.csv": TransientError("gone for now")}).deliver(DAY)


def test_warnings_add_up() -> None:
    data = codecs.BOM_UTF8 + csv_bytes(header=(*HEADER, "Till"))
    delivery = source({f"{DAY}.csv": data}).deliver(DAY)
    assert [warning.partition(":")[0] for warning in delivery.warnings] == ["bom", "added_columns", "no_rows"]


def test_offers_name_what_is_there_between_two_days_and_read_nothing() -> None:
    names = [f"2011-01-{day:02}.csv" for day in (3, 4, 5, 6)] + ["2011-01-04-b.csv", "notes.txt"]
    files = MemoryFiles(dict.fromkeys(names, SOUND))
    offers = LandingSource(landing_contract(), files).offers("2011-01-04", "2011-01-05")
    assert {day: offer.files for day, offer in offers.items()} == {
        "2011-01-04": ("sales/2011-01-04-b.csv", "sales/2011-01-04.csv"),
        "2011-01-05": ("sales/2011-01-05.csv",),
    }
    assert files.reads == []


def test_a_signature_changes_with_the_name_the_size_and_the_time_of_a_file() -> None:
    def signature(name: str, content: bytes, stamp: str) -> str:
        files = MemoryFiles({name: content}, stamps={name: stamp})
        return LandingSource(landing_contract(), files).offers(DAY, DAY)[DAY].signature

    base = (f"{DAY}.csv", SOUND, "1")
    others = [(f"{DAY}-b.csv", SOUND, "1"), (f"{DAY}.csv", SOUND + b"\n", "1"), (f"{DAY}.csv", SOUND, "2")]
    assert len({signature(*each) for each in [base, *others]}) == 4
    assert signature(*base) == signature(*base)


def test_a_delivery_carries_the_signature_and_the_fingerprint_of_its_offer() -> None:
    landing = source({f"{DAY}.csv": SOUND})
    offer, delivery = landing.offers(DAY, DAY)[DAY], landing.deliver(DAY)
    assert (delivery.signature, delivery.fingerprint) == (offer.signature, landing.fingerprint(offer))


def test_a_fingerprint_follows_the_content_and_not_the_time() -> None:
    def fingerprint(content: bytes, stamp: str) -> str:
        landing = LandingSource(landing_contract(), MemoryFiles({f"{DAY}.csv": content}, {f"{DAY}.csv": stamp}))
        return landing.deliver(DAY).fingerprint

    assert fingerprint(SOUND, "1") == fingerprint(SOUND, "2")
    assert fingerprint(SOUND, "1") != fingerprint(SOUND.replace(b"2.55", b"2.56"), "1")


def test_files_of_no_day_are_reported_once() -> None:
    strays = source({f"{DAY}.csv": SOUND, **{f"x{n}.txt": b"" for n in range(6)}}).strays()
    shown = ", ".join(f"sales/x{n}.txt" for n in range(5))
    assert strays == (f"stray_file: 6 in sales belong to no day ({shown}, …); names follow {{date}}*.csv",)
    assert source({f"{DAY}.csv": SOUND}).strays() == ()


def test_expected_rows_are_guessed_high_from_the_bytes_of_files() -> None:
    plain = csv_bytes(
        *[("536365", "WHITE HANGING HEART T-LIGHT HOLDER, LARGE, BOXED, PINK AND GREEN AND BLUE", "2.55")] * 100
    )
    guesses = source({f"{DAY}.csv": plain}).expected_rows([DAY, SATURDAY])
    assert 100 <= guesses[DAY] <= 200
    assert guesses[SATURDAY] == 0
