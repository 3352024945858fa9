"""The same landing in a folder and in a bucket: what is offered, read, refused and awaited is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.model import Contract
from dataplatform.sources import Source, make_source
from dataplatform.sources.base import FileRefusedError
from dataplatform_tests.deliveries import DAY, SATURDAY, csv_bytes, landing_contract, zipped
from dataplatform_tests.s3 import Bucket
from dataplatform_tests.service.sources.conftest import Landing, files_of

ROWS = (("A1", "BLUE MUG", "2.55"), ("A2", "£5 VOUCHER", "5"))
SOUND = csv_bytes(*ROWS)
NEXT = "2011-01-05"


def source(landing: Landing, tmp_path: Path, **changes: Any) -> Source:
    contract: Contract = landing_contract(**changes)
    return make_source(contract, landing=files_of(landing, tmp_path))


def test_entries_are_listed_in_order_with_their_sizes(landing: Landing, tmp_path: Path) -> None:
    names = ("b2", "a1", "ü %20+&.csv", "b1")
    landing.put({f"sales/{name}": name.encode() for name in names} | {"returns/x": b"x"})
    found = files_of(landing, tmp_path).list("sales")
    assert [(entry.name, entry.base, entry.size) for entry in found] == [
        (f"sales/{name}", name, len(name.encode())) for name in sorted(names)
    ]
    assert files_of(landing, tmp_path).list("nothing") == []


def test_a_name_of_any_characters_is_read(landing: Landing, tmp_path: Path) -> None:
    name = "sales/ü %20+&.csv"
    landing.put({name: SOUND})
    assert files_of(landing, tmp_path).read(name) == SOUND


def test_a_day_is_offered_and_delivered(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.csv": SOUND, f"sales/{NEXT}.csv.gz": zipped(SOUND), "sales/2011-02-01.csv": SOUND})
    found = source(landing, tmp_path)
    offers = found.offers(DAY, NEXT)
    assert {day: offer.files for day, offer in offers.items()} == {
        DAY: (f"sales/{DAY}.csv",),
        NEXT: (f"sales/{NEXT}.csv.gz",),
    }
    for day, delivery in zip((DAY, NEXT), found.deliveries([DAY, NEXT]), strict=True):
        assert delivery.status == "accepted"
        assert delivery.table is not None
        assert delivery.table["price"].to_pylist() == ["2.55", "5"]
        assert (delivery.signature, delivery.fingerprint) == (offers[day].signature, found.fingerprint(offers[day]))


def test_a_correction_of_the_same_size_changes_signature_and_fingerprint(landing: Landing, tmp_path: Path) -> None:
    found = source(landing, tmp_path)
    landing.put({f"sales/{DAY}.csv": csv_bytes(("A1", "MUG", "2.55"))})
    before = found.offers(DAY, DAY)[DAY]
    digest = found.fingerprint(before)
    landing.put({f"sales/{DAY}.csv": csv_bytes(("A1", "MUG", "2.56"))})
    after = found.offers(DAY, DAY)[DAY]
    assert before.signature != after.signature
    assert digest != found.fingerprint(after)


def test_what_is_missing_refused_and_closed_is_told_apart(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.csv": b"", "sales/notes.txt": b"x"})
    found = source(landing, tmp_path)
    statuses = {delivery.partition: delivery.status for delivery in found.deliveries([DAY, NEXT, SATURDAY])}
    assert statuses == {DAY: "refused", NEXT: "missing", SATURDAY: "closed"}
    assert found.strays() == (
        "stray_file: 1 in sales belong to no day (sales/notes.txt); names follow {date}*.csv",
    )  # fmt: skip


def test_a_folder_under_the_name_of_a_file_is_refused(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.csv/part-1": SOUND})
    delivery = source(landing, tmp_path).deliver(DAY)
    assert (delivery.status, delivery.reason.partition(":")[0]) == ("refused", "not_a_file")


def test_what_is_not_there_and_what_lies_outside_is_refused(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.csv": SOUND})
    files = files_of(landing, tmp_path)
    with pytest.raises(FileRefusedError, match=r"^not_a_file: sales/x\.csv: leads nowhere"):
        files.read("sales/x.csv")
    with pytest.raises(FileRefusedError, match=r"^(outside_landing|not_a_file): \.\./secret: "):
        files.read("../secret")


def test_a_file_that_is_taken_away_while_its_range_is_read_is_missing_and_not_refused(
    landing: Landing, tmp_path: Path
) -> None:
    landing.put({f"sales/{day}.csv": SOUND for day in (DAY, NEXT)})
    deliveries = source(landing, tmp_path).deliveries([DAY, NEXT])
    assert next(deliveries).status == "accepted"
    landing.delete(f"sales/{NEXT}.csv")
    assert next(deliveries).reason == f"file_missing: no file in sales for {NEXT}, which is an open day"


def test_a_file_that_is_replaced_under_another_name_while_its_range_is_read_is_read(
    landing: Landing, tmp_path: Path
) -> None:
    landing.put({f"sales/{day}.csv": SOUND for day in (DAY, NEXT)})
    deliveries = source(landing, tmp_path).deliveries([DAY, NEXT])
    next(deliveries)
    landing.put({f"sales/{NEXT}-b.csv": SOUND})
    landing.delete(f"sales/{NEXT}.csv")
    assert next(deliveries).files == (f"sales/{NEXT}-b.csv",)


# the marker of a day whose files are complete


@pytest.mark.parametrize("success", ["{date}.done", "_SUCCESS_{date}"])
def test_a_day_without_its_marker_is_not_offered_and_not_missing(
    landing: Landing, tmp_path: Path, success: str
) -> None:
    landing.put({f"sales/{DAY}.csv": SOUND})
    found = source(landing, tmp_path, success=success)
    marker = f"sales/{success.replace('{date}', DAY)}"
    reason = f"awaiting_marker: sales/{DAY}.csv: not read before {marker} is there"
    offers = found.offers(DAY, NEXT)
    assert (dict(offers), offers.awaiting) == ({}, {DAY: reason})
    delivery = found.deliver(DAY)
    assert (delivery.status, delivery.reason, delivery.table) == ("missing", reason, None)
    landing.put({marker: b""})
    offers = found.offers(DAY, NEXT)
    assert (list(offers), offers.awaiting) == ([DAY], {})
    assert found.deliver(DAY).status == "accepted"
    assert found.strays() == ()


def test_a_change_of_the_marker_alone_is_no_change_of_the_day(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.csv": SOUND, f"sales/{DAY}.done": b"1"})
    found = source(landing, tmp_path, success="{date}.done")
    before = found.offers(DAY, DAY)
    landing.put({f"sales/{DAY}.done": b"written again"})
    assert found.offers(DAY, DAY) == before
    landing.put({f"sales/{DAY}.csv": csv_bytes(ROWS[0])})
    assert found.offers(DAY, DAY) != before


def test_a_marker_without_a_file_leaves_the_day_missing(landing: Landing, tmp_path: Path) -> None:
    landing.put({f"sales/{DAY}.done": b""})
    found = source(landing, tmp_path, success="{date}.done")
    offers = found.offers(DAY, DAY)
    assert (dict(offers), offers.awaiting, found.strays()) == ({}, {}, ())
    assert found.deliver(DAY).reason.startswith("file_missing: ")


# what a bucket costs


def test_a_plan_and_a_range_list_once_each_and_every_file_is_got_once(bucket: Bucket, tmp_path: Path) -> None:
    days = [f"2011-01-{day:02}" for day in range(1, 29)]
    bucket.put({f"sales/{day}.csv": SOUND for day in days})
    found = source(bucket, tmp_path)
    assert len(found.offers(days[0], days[-1])) == len(days)
    assert (bucket.gate.count("GET"), len(bucket.gate.asked)) == (1, 1)
    assert [delivery.status for delivery in found.deliveries(days)] == ["accepted"] * len(days)
    assert len(bucket.gate.asked) == 1 + 1 + len(days)
    assert bucket.gate.count("HEAD") == 0


def test_a_folder_of_more_files_than_a_page_is_listed_page_by_page(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put({f"sales/{number:04}.txt": b"" for number in range(1003)})
    assert len(files_of(bucket, tmp_path).list("sales")) == 1003
    assert len(bucket.gate.asked) == 2
