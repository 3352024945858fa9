"""Staleness is decided by the lake: records merge in any order, and what they do not know is made again."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from dataplatform.lake.records import FOLDER, MERGE_AT, ChangeSet, Record, Slice, read_state, write_record
from dataplatform.lake.table import Lake
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


def test_a_renewal_holds_only_on_the_revision_it_was_based_on(tmp_path: Path) -> None:
    write_record(tmp_path, record(1, a=entry("one", 1, 1)))
    write_record(tmp_path, record(1, a=entry("one", 1, 2, code="newer", based_on="one")))
    assert read_state(tmp_path).slices["a"].code == "newer"
    write_record(tmp_path, record(2, a=entry("two", 2, 3)))
    write_record(tmp_path, record(2, a=entry("one", 2, 4, code="late", based_on="one")))
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
