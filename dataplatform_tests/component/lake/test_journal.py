"""Rows that are noted are read exactly once, before, while and after they are committed, and whoever dies meanwhile."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dataplatform.lake import journal


def numbered(*numbers: int, **more: str) -> pa.Table:
    return pa.table({"number": list(numbers), **{name: [value] * len(numbers) for name, value in more.items()}})


def numbers(folder: Path) -> list[int]:
    rows = journal.read(folder)
    parts = [] if rows.pending is None else [rows.pending]
    if rows.handle is not None:
        parts.append(rows.handle.to_pyarrow_dataset().to_table())
    return sorted(int(number) for part in parts for number in part["number"].to_numpy())


def test_what_is_noted_is_there_at_once_and_stays_when_it_is_committed(tmp_path: Path) -> None:
    assert numbers(tmp_path) == []
    journal.note(tmp_path, numbered(1, 2))
    journal.note(tmp_path, numbered(3))
    assert numbers(tmp_path) == [1, 2, 3]
    assert journal.commit(tmp_path) == 3
    assert numbers(tmp_path) == [1, 2, 3]
    assert journal.commit(tmp_path) == 0, "nothing is left"
    journal.note(tmp_path, numbered(4))
    assert numbers(tmp_path) == [1, 2, 3, 4]
    assert DeltaTable(str(tmp_path)).version() == 1, "one commit for all that was noted"


def test_a_new_column_is_added_and_older_rows_have_nothing_in_it(tmp_path: Path) -> None:
    journal.note(tmp_path, numbered(1))
    journal.commit(tmp_path)
    journal.note(tmp_path, numbered(2, word="two"))
    journal.note(tmp_path, numbered(3))
    journal.commit(tmp_path)
    rows = DeltaTable(str(tmp_path)).to_pyarrow_dataset().to_table().sort_by("number")
    assert rows.to_pydict() == {"number": [1, 2, 3], "word": [None, "two", None]}


@pytest.mark.parametrize("is_committed", [False, True], ids=["before its commit", "after its commit"])
def test_a_batch_of_a_process_that_was_killed_is_committed_once(tmp_path: Path, is_committed: bool) -> None:
    journal.note(tmp_path, numbered(1))
    journal.commit(tmp_path)
    journal.note(tmp_path, numbered(2))
    batch = tmp_path / journal.PENDING / "2"
    batch.mkdir()
    for file in (tmp_path / journal.PENDING).glob("*.arrow"):
        file.rename(batch / file.name)
    if is_committed:
        shutil.copytree(batch, tmp_path / "kept")
        journal.commit(tmp_path)
        shutil.move(tmp_path / "kept", batch)
    assert numbers(tmp_path) == [1, 2]
    journal.note(tmp_path, numbered(3))
    assert journal.commit(tmp_path) == (1 if is_committed else 2)
    assert numbers(tmp_path) == [1, 2, 3]
    assert not batch.exists()


def test_a_file_that_lost_its_end_costs_its_own_rows_alone(tmp_path: Path) -> None:
    journal.note(tmp_path, numbered(1))
    (damaged,) = (tmp_path / journal.PENDING).glob("*.arrow")
    journal.note(tmp_path, numbered(2))
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert numbers(tmp_path) == [2]
    assert journal.commit(tmp_path) == 1


def test_small_files_are_merged_and_old_commits_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMPACT_AT", 5)
    for number in range(12):
        journal.note(tmp_path, numbered(number))
        journal.commit(tmp_path)
    assert len(DeltaTable(str(tmp_path)).file_uris()) < 5
    assert list((tmp_path / "_delta_log").glob("*.checkpoint.parquet")), "opening does not read every commit"
    assert numbers(tmp_path) == list(range(12))


def test_writers_committers_and_readers_at_once_lose_nothing_and_see_nothing_twice(tmp_path: Path) -> None:
    def write(worker: int) -> None:
        for number in range(10):
            journal.note(tmp_path, numbered(worker * 10 + number))
            if number % 3 == worker % 3:
                journal.commit(tmp_path)

    def look(_: int) -> list[list[int]]:
        return [numbers(tmp_path) for _ in range(10)]

    with ThreadPoolExecutor(6) as pool:
        looks = [pool.submit(look, number) for number in range(2)]
        list(pool.map(write, range(4)))
        seen = [each for future in looks for each in future.result()]
    journal.commit(tmp_path)
    assert numbers(tmp_path) == list(range(40))
    assert all(len(set(each)) == len(each) for each in seen), "nothing twice"
    for future in looks:
        sizes = [len(each) for each in future.result()]
        assert sizes == sorted(sizes), "what was there once stays there"


def test_a_copy_of_the_folder_has_what_was_noted_too(tmp_path: Path) -> None:
    journal.note(tmp_path / "table", numbered(1))
    journal.commit(tmp_path / "table")
    journal.note(tmp_path / "table", numbered(2))
    shutil.copytree(tmp_path / "table", tmp_path / "copy")
    assert journal.commit(tmp_path / "copy") == 1
    assert numbers(tmp_path / "copy") == numbers(tmp_path / "table") == [1, 2]
