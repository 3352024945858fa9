"""Housekeeping changes no row, takes nothing from a reader, and is never mistaken for a publication."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from dataplatform.errors import OvertakenError, PermanentError
from dataplatform.lake import maintenance
from dataplatform.lake.maintenance import keep_files, keep_log, log_entries
from dataplatform.lake.records import FOLDER, Record, Slice, read_state, record_housekeeping, write_record
from dataplatform.lake.table import Lake, LakeTable
from dataplatform_tests.ageing import contents, grow_older
from dataplatform_tests.by_hand import contract
from dataplatform_tests.component.lake.test_publication import KEYS, content, publish, rows

KEEP = timedelta(days=30)


def entry(label: str, version: int) -> Slice:
    return Slice(
        revision=label, rows=1, quarantined=0, version=version, sequence=version, run_id="run",
        published_at="2011-02-01T06:00:00+00:00", code="c", contract="k", settings={},
    )  # fmt: skip


def publish_recorded(table: LakeTable, days: list[str], label: str = "a") -> int:
    opened = table.open_to_publish()
    version = publish(table, days, label, opened)
    slices = {day: entry(label, version) for day in days}
    write_record(table.folder, Record(opened.housekeeping | {version}, slices, {"columns": {}}))
    return version


def keep(table: LakeTable) -> maintenance.Tidied:
    """What maintenance does to a table, in its order."""
    done = keep_files(table.folder, KEEP, dry_run=False)
    record_housekeeping(table.folder, table.open().housekeeping)
    keep_log(table.folder, KEEP)
    return done


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """Five days in one piece: a file each."""
    table = Lake(tmp_path).table(contract(physical="none"))
    for number, day in enumerate(KEYS[:5]):
        publish_recorded(table, [day], f"day {number}")
    return table


@pytest.fixture
def scattered(tmp_path: Path) -> LakeTable:
    """Two partitions; the first has its row and five more in files of their own."""
    table = Lake(tmp_path).table(contract())
    publish(table, KEYS[:2])
    for label in "bcdef":
        properties = CommitProperties(custom_metadata={"dataplatform.slices": f'["{KEYS[0]}"]'})
        write_deltalake(table.uri, rows([KEYS[0]], label), mode="append", commit_properties=properties)
    return table


def test_small_files_become_one_and_rows_stay(table: LakeTable) -> None:
    before = content(table)
    done = keep(table)
    assert (done.files, done.compacted, done.into) == (5, 5, 1)
    assert len(table.open().files) == 1
    assert content(table) == before


def test_only_partitions_with_many_small_files_are_rewritten(scattered: LakeTable) -> None:
    before = content(scattered)
    untouched = scattered.open().files_of([KEYS[1]])
    assert keep(scattered).compacted == 6
    assert content(scattered) == before
    assert scattered.open().files_of([KEYS[1]]) == untouched
    assert len(scattered.open().files_of([KEYS[0]])) == 1


def test_few_files_are_left_alone_and_nothing_to_do_makes_no_commit(table: LakeTable) -> None:
    keep(table)
    version = table.open().version
    assert keep(table).compacted == 0
    assert table.open().version == version


def test_a_dry_run_says_the_same_and_changes_nothing(table: LakeTable) -> None:
    before = contents(table.folder)
    said = keep_files(table.folder, KEEP, dry_run=True)
    assert contents(table.folder) == before
    done = keep(table)
    assert (said.compacted, said.into, said.removed) == (done.compacted, done.into, done.removed)


def test_a_reader_that_opened_the_table_before_goes_on_reading(table: LakeTable) -> None:
    opened = table.open()
    publish_recorded(table, [KEYS[0]], "corrected")
    grow_older(table.folder, 20)
    keep(table)
    assert opened.dataset().to_table().num_rows == 5
    assert all((table.folder / file.path).exists() for file in opened.files)


def test_replaced_files_are_removed_when_their_retention_is_over(table: LakeTable) -> None:
    """Pain 6: replaced rows are kept for so many days."""
    keep(table)
    grow_older(table.folder, 29)
    assert keep(table).removed == 0
    grow_older(table.folder, 2)
    done = keep(table)
    assert (done.removed, done.removed_size > 0) == (5, True)
    assert len(list(table.folder.glob("*.parquet"))) == 1
    assert len(content(table)) == 5


def test_replaced_files_whose_removal_a_checkpoint_has_forgotten_are_removed_too(table: LakeTable) -> None:
    keep(table)
    grow_older(table.folder, 31)
    DeltaTable(table.uri).create_checkpoint()
    assert keep(table).removed == 5


def test_a_file_that_a_short_memory_forgot_stays_while_the_log_names_its_removal_as_recent(table: LakeTable) -> None:
    """A table of an earlier version of the platform: Delta forgot replaced files after a week, its log did not."""
    handle = DeltaTable(table.uri)
    handle.alter.set_table_properties({"delta.deletedFileRetentionDuration": "interval 7 days"})
    grow_older(table.folder, 35)
    version = publish_recorded(table, [KEYS[0]], "corrected")
    grow_older(table.folder, 10)
    DeltaTable(table.uri).create_checkpoint()
    assert keep(table).removed == 0
    assert table.open(version - 1).dataset().to_table().num_rows == 5


def test_every_version_within_the_retention_can_be_opened_after_the_log_was_cleaned(table: LakeTable) -> None:
    for _ in range(12):
        publish_recorded(table, [KEYS[0]], "early")
    keep(table)
    grow_older(table.folder, 20)
    late = [publish_recorded(table, [KEYS[0]], "late") for _ in range(12)]
    keep(table)
    grow_older(table.folder, 15)
    keep(table)
    assert log_entries(table.folder) < late[0]
    current_before = late[0] - 1
    assert [table.open(version).dataset().to_table().num_rows for version in [current_before, *late]] == [5] * 13


def test_upstreams_own_cleaning_forgets_what_was_current_within_the_retention(tmp_path: Path) -> None:
    """Why it is off. If this fails, `keep_log` may leave the log to Delta."""
    uri, row = str(tmp_path / "t"), pa.table({"v": [1]})
    for _ in range(3):
        write_deltalake(uri, row, mode="append")
    DeltaTable(uri).create_checkpoint()
    grow_older(tmp_path / "t", 30)
    write_deltalake(uri, row, mode="append")
    grow_older(tmp_path / "t", 10)
    handle = DeltaTable(uri)
    handle.create_checkpoint()
    assert DeltaTable(uri, version=2).version() == 2  # what everybody read until ten days ago
    handle.cleanup_metadata()
    with pytest.raises(DeltaError):
        DeltaTable(uri, version=2)


def test_what_a_writer_has_not_committed_yet_and_the_records_are_not_removed(table: LakeTable) -> None:
    (table.folder / "part-in-flight.parquet").write_bytes(b"being written")
    old = table.folder / "part-abandoned.parquet"
    old.write_bytes(b"of a killed run")
    grow_older(table.folder, 31)
    (table.folder / "part-in-flight.parquet").touch()
    assert keep(table).removed == 1
    assert (table.folder / "part-in-flight.parquet").exists()
    assert not old.exists()
    assert len(read_state(table.folder).slices) == 5


@pytest.mark.parametrize("physical", ["partitioned", "none"])
def test_a_publication_that_a_compaction_overtakes_is_refused_and_made_again(tmp_path: Path, physical: str) -> None:
    table = Lake(tmp_path).table(contract(physical=physical))
    publish(table, KEYS[:1])
    for label in "bcd":
        write_deltalake(table.uri, rows([KEYS[0]], label), mode="append")
    opened = table.open_to_publish()
    keep_files(table.folder, KEEP, dry_run=False)
    with pytest.raises(OvertakenError):
        publish(table, [KEYS[0]], "new", opened)
    assert len(content(table)) == 4
    publish(table, [KEYS[0]], "new")
    assert content(table) == [(KEYS[0], "new")]


@pytest.mark.parametrize("physical", ["partitioned", "none"])
def test_a_compaction_that_a_publication_overtakes_is_left_for_next_time(
    tmp_path: Path, physical: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Lake(tmp_path).table(contract(physical=physical))
    publish(table, KEYS[:1])
    for label in "bcd":
        write_deltalake(table.uri, rows([KEYS[0]], label), mode="append")
    compact = maintenance._compact

    def overtaken(handle: DeltaTable, small: dict[str, int]) -> tuple[int, int]:
        publish(table, [KEYS[0]], "new")
        return compact(handle, small)

    monkeypatch.setattr(maintenance, "_compact", overtaken)
    done = keep_files(table.folder, KEEP, dry_run=False)
    assert (done.compacted, done.note) == (0, "a run published it meanwhile; it is compacted next time")
    assert content(table) == [(KEYS[0], "new")]


def test_a_publication_of_another_slice_and_a_compaction_both_stay(table: LakeTable) -> None:
    opened = table.open_to_publish()
    keep_files(table.folder, KEEP, dry_run=False)
    publish(table, [KEYS[7]], "new", opened)
    assert len(content(table)) == 6


def test_nothing_becomes_unknown_when_the_log_forgets_maintenance_and_publications(table: LakeTable) -> None:
    """The Law: the record outlives Delta's log."""
    for _ in range(3):
        keep(table)
        publish_recorded(table, [KEYS[0]], "again")
    keep(table)
    publish_recorded(table, [KEYS[1]], "later")
    DeltaTable(table.uri).create_checkpoint()
    grow_older(table.folder, 40)
    keep(table)
    assert log_entries(table.folder) == 1
    opened = table.open()
    assert opened.state.unknown == frozenset()
    assert opened.state.revisions == {
        KEYS[0]: "again",
        KEYS[1]: "later",
        **{k: f"day {KEYS.index(k)}" for k in KEYS[2:5]},
    }


def test_without_its_record_forgotten_maintenance_would_make_every_slice_unknown(table: LakeTable) -> None:
    """Why `record_housekeeping` is called before the log is cleaned."""
    keep_files(table.folder, KEEP, dry_run=False)
    DeltaTable(table.uri).alter.set_table_properties({"delta.checkpointInterval": "100"})
    DeltaTable(table.uri).create_checkpoint()
    grow_older(table.folder, 40)
    keep_log(table.folder, KEEP)
    assert table.open().state.unknown == set(KEYS[:5])


def test_a_record_of_housekeeping_says_nothing_of_the_shape(tmp_path: Path) -> None:
    """It may come after a rebuild that it did not see."""
    write_record(tmp_path, Record(frozenset({3}), {}, {"columns": {"rebuilt": {}}}))
    record_housekeeping(tmp_path, frozenset({4, 5}))
    assert read_state(tmp_path).shape == {"columns": {"rebuilt": {}}}
    assert read_state(tmp_path).recorded_versions == {3, 4, 5}


def test_records_are_merged_into_one(table: LakeTable) -> None:
    before = read_state(table.folder)
    record_housekeeping(table.folder, frozenset())
    assert len(list((table.folder / FOLDER).iterdir())) == 1
    assert read_state(table.folder) == before


def test_many_commits_ask_for_a_checkpoint_and_few_do_not(table: LakeTable) -> None:
    keep_log(table.folder, KEEP)
    checkpoint = table.folder / "_delta_log" / "_last_checkpoint"
    assert not checkpoint.exists()
    for _ in range(6):
        publish(table, [KEYS[0]])
    keep_log(table.folder, KEEP)
    assert checkpoint.exists()
    assert len(content(table)) == 5


def test_a_table_with_refused_features_is_not_touched(tmp_path: Path) -> None:
    DeltaTable.create(
        str(tmp_path / "t"), pa.schema([("v", pa.int64())]), configuration={"delta.enableDeletionVectors": "true"}
    )
    with pytest.raises(PermanentError, match=r"uses Delta features that are refused: deletionVectors"):
        keep_files(tmp_path / "t", KEEP, dry_run=True)


def test_upstream_compaction_of_files_that_were_replaced_meanwhile_fails(table: LakeTable) -> None:
    """What the absence of a lock leans on."""
    handle = DeltaTable(table.uri)
    publish(table, [KEYS[0]], "new")
    with pytest.raises(CommitFailedError):
        handle.optimize.compact()
