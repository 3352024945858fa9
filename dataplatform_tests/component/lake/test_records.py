"""Staleness is decided by the lake: records merge in any order, and what they do not know is made again."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataplatform.lake.records import FOLDER, MERGE_AT, ChangeSet, Record, Slice, read_state, write_record
from dataplatform.lake.table import Lake, LakeTable
from dataplatform_tests.by_hand import contract
from dataplatform_tests.component.lake.test_publication import KEYS, publish


def entry(revision: str, version: int, sequence: int = 0, **changes: Any) -> Slice:
    values: dict[str, Any] = {
        "revision": revision, "rows": 1, "quarantined": 0, "version": version, "sequence": sequence,
        "run_id": "run", "published_at": "2011-01-01T00:00:00+00:00", "code": "c", "contract": "k",
        "settings": {"n": 1}, "inputs": {"orders": {"2011-01-01": "r"}},
    }  # fmt: skip
    return Slice(**{**values, **changes})


def record(version: int, **slices: Slice) -> Record:
    return Record(frozenset({version}), slices, {"columns": []})


def test_the_newest_entry_wins_in_any_order_of_writing(tmp_path: Path) -> None:
    records = [record(1, a=entry("one", 1), b=entry("b", 1)), record(2, a=entry("two", 2)), record(3, c=entry("c", 3))]
    for number, order in enumerate(itertools.permutations(records)):
        folder = tmp_path / str(number)
        for written in order:
            write_record(folder, written)
        assert read_state(folder).revisions == {"a": "two", "b": "b", "c": "c"}


def test_a_renewal_holds_until_the_slice_is_published_again(tmp_path: Path) -> None:
    write_record(tmp_path, record(1, a=entry("one", 1, 1)))
    write_record(tmp_path, record(1, a=entry("one", 1, 2, code="newer")))
    assert read_state(tmp_path).slices["a"].code == "newer"
    write_record(tmp_path, record(2, a=entry("two", 2, 3)))
    write_record(tmp_path, record(1, a=entry("one", 1, 4, code="late")))
    assert read_state(tmp_path).slices["a"].revision == "two"


def test_many_records_become_one_that_means_the_same(tmp_path: Path) -> None:
    changes = [ChangeSet((2, 0), "x", "y", (("7", 1, "1900-01-01", "9999-12-31", ("key",)),))]
    write_record(tmp_path, Record(frozenset({2}), {}, {"columns": []}, changes))
    for number in range(3, MERGE_AT + 10):
        write_record(tmp_path, record(number, **{f"p{number % 7}": entry(f"r{number}", number)}))
    state = read_state(tmp_path)
    assert len(list((tmp_path / FOLDER).glob("*.json"))) < MERGE_AT
    newest = {f"p{n % 7}": f"r{n}" for n in range(3, MERGE_AT + 10)}
    assert state.revisions == newest
    assert list(state.changes) == changes
    assert state.recorded_versions == frozenset(range(2, MERGE_AT + 10))


def test_a_half_written_record_is_not_read(tmp_path: Path) -> None:
    write_record(tmp_path, record(1, a=entry("one", 1)))
    (tmp_path / FOLDER / "00000000000000000002-1-x.partial").write_text('{"versions": [2]')
    assert read_state(tmp_path).revisions == {"a": "one"}


def test_a_commit_without_its_record_makes_its_slices_unknown_and_no_others(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    version = publish(table, KEYS[:2])
    write_record(table.folder, record(version, **{KEYS[0]: entry("a", version), KEYS[1]: entry("b", version)}))
    assert set(table.open().state.slices) == {KEYS[0], KEYS[1]}
    publish(table, [KEYS[1]], "crashed before its record")
    assert set(table.open().state.slices) == {KEYS[0]}


def test_a_renewal_does_not_vouch_for_a_commit_that_it_did_not_see(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    version = publish(table, [KEYS[0]])
    write_record(table.folder, record(version, **{KEYS[0]: entry("a", version)}))
    seen = table.open()
    publish(table, [KEYS[0]], "crashed before its record")
    later = publish(table, [KEYS[1]])
    renewed = entry("a", seen.version, 1, code="found equal at the version it was opened at")
    write_record(table.folder, record(later, **{KEYS[0]: renewed, KEYS[1]: entry("b", later)}))
    assert table.open().state.revisions == {KEYS[1]: "b"}
    assert table.open().state.unknown == {KEYS[0]}


@pytest.mark.parametrize("damage", ["", "{", '{"versions": [2]}', "[]", '{"versions": [2], "slices": 7}', "\x00\xff"])
def test_a_damaged_record_counts_as_none_and_its_slices_as_unknown(tmp_path: Path, damage: str) -> None:
    table = Lake(tmp_path).table(contract())
    for day in KEYS[:2]:
        version = publish(table, [day])
        write_record(table.folder, record(version, **{day: entry(day, version)}))
    newest = max((table.folder / FOLDER).glob("*.json"))
    newest.write_text(damage, encoding="latin-1")
    state = table.open().state
    assert set(state.slices) == {KEYS[0]}
    assert state.unknown == {KEYS[1]}


def test_a_merge_drops_damaged_records(tmp_path: Path) -> None:
    for number in range(1, MERGE_AT):
        write_record(tmp_path, record(number, **{f"p{number}": entry("r", number)}))
    min((tmp_path / FOLDER).glob("*.json")).write_text("{")
    write_record(tmp_path, record(MERGE_AT, last=entry("r", MERGE_AT)))
    assert len(list((tmp_path / FOLDER).glob("*.json"))) == 1
    assert read_state(tmp_path).recorded_versions == frozenset(range(2, MERGE_AT + 1))


def test_half_a_record_is_not_left_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_record(tmp_path, record(1, a=entry("one", 1)))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_record(tmp_path, record(2, a=entry("two", 2)))
    assert [path.suffix for path in (tmp_path / FOLDER).iterdir()] == [".json"]
    assert read_state(tmp_path).revisions == {"a": "one"}


def prune_log(table: LakeTable, keep: int) -> None:
    """What Delta does after thirty days: a checkpoint, and only the last `keep` commits beside it."""
    opened = table.open()
    assert opened.handle is not None
    opened.handle.create_checkpoint()
    for version in range(opened.version + 1 - keep):
        (table.folder / "_delta_log" / f"{version:020d}.json").unlink()


def test_the_record_outlives_deltas_log(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    for day in KEYS[:5]:
        version = publish(table, [day])
        write_record(table.folder, record(version, **{day: entry(day, version)}))
    prune_log(table, keep=1)
    handle = table.open().handle
    assert handle is not None
    assert len(handle.history()) == 1
    assert set(table.open().state.slices) == set(KEYS[:5])


def test_an_unrecorded_commit_that_the_log_forgot_makes_what_is_older_unknown(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    for day in KEYS[:5]:
        version = publish(table, [day])
        if day != KEYS[2]:
            write_record(table.folder, record(version, **{day: entry(day, version)}))
    prune_log(table, keep=1)
    # by a process that has not seen the log before it was pruned: one that has still knows which slice is meant
    shutil.copytree(tmp_path, tmp_path / "later")
    later = Lake(tmp_path / "later").table(contract())
    assert set(later.open().state.slices) == {KEYS[3], KEYS[4]}
    assert later.open().state.unknown == {KEYS[0], KEYS[1]}


def test_records_of_versions_that_the_log_does_not_have_are_forgotten(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    for day in KEYS[:3]:
        version = publish(table, [day])
        write_record(table.folder, record(version, **{day: entry(day, version)}))
    (table.folder / "_delta_log" / f"{3:020d}.json").unlink()  # a copy was made while the third was published
    assert set(table.open().state.slices) == {KEYS[0], KEYS[1]}
    opened = table.open_to_publish()
    version = publish(table, [KEYS[3]], opened=opened)
    write_record(table.folder, record(version, **{KEYS[3]: entry("d", version)}))
    assert version == 3, "the number is given again"
    assert set(table.open().state.slices) == {KEYS[0], KEYS[1], KEYS[3]}, "and means the new commit alone"


def test_a_commit_that_is_not_the_platforms_makes_the_whole_table_unknown(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    version = publish(table, KEYS[:2])
    write_record(table.folder, record(version, **{KEYS[0]: entry("a", version)}))
    handle = table.open().handle
    assert handle is not None
    handle.delete(f"business_date = '{KEYS[0]}'")
    assert table.open().state.slices == {}


def test_maintenance_leaves_the_state_as_it_is(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    for label in ("a", "b"):
        version = publish(table, [KEYS[0]], label)
        write_record(table.folder, record(version, **{KEYS[0]: entry(label, version)}))
    handle = table.open().handle
    assert handle is not None
    publish(table, [KEYS[0]], "c")
    write_record(table.folder, record(3, **{KEYS[0]: entry("c", 3)}))
    handle = table.open().handle
    assert handle is not None
    handle.optimize.compact()
    handle.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    opened = table.open()
    assert opened.state.revisions == {KEYS[0]: "c"}
    assert read_state(table.folder).revisions == {KEYS[0]: "c"}, "vacuum must not remove the records"


def test_a_restored_copy_knows_what_it_holds(tmp_path: Path) -> None:
    import shutil

    table = Lake(tmp_path / "lake").table(contract())
    version = publish(table, [KEYS[0]], "a")
    write_record(table.folder, record(version, **{KEYS[0]: entry("a", version)}))
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    version = publish(table, [KEYS[0]], "b")
    write_record(table.folder, record(version, **{KEYS[0]: entry("b", version)}))
    assert Lake(tmp_path / "copy").table(contract()).open().state.revisions == {KEYS[0]: "a"}


def test_records_are_plain_json_that_names_run_and_inputs(tmp_path: Path) -> None:
    write_record(tmp_path, record(1, a=entry("one", 1)))
    (path,) = (tmp_path / FOLDER).glob("*.json")
    stored = json.loads(path.read_text())
    common = stored["shared"][stored["slices"]["a"]["common"]]
    assert (common["run_id"], common["code"]) == ("run", "c")
    assert stored["shared"][stored["slices"]["a"]["inputs"]["orders"]] == {"2011-01-01": "r"}


def test_a_state_of_nothing_is_empty(tmp_path: Path) -> None:
    assert read_state(tmp_path / "nowhere").slices == {}


@pytest.mark.parametrize("physical", ["partitioned", "none"])
def test_files_of_a_slice_are_found_without_reading_any(tmp_path: Path, physical: str) -> None:
    table = Lake(tmp_path).table(contract(physical=physical))
    publish(table, KEYS[:3])
    opened = table.open()
    assert sum(file.rows for file in opened.files) == 3
    assert len(opened.files_of([KEYS[0]])) == 1
    assert len(opened.files_of(None)) == (3 if physical == "partitioned" else 1)
