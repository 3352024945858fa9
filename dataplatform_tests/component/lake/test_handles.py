"""What is kept of tables between two looks: it is given again while it holds, and never after."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from dataplatform.lake import handles
from dataplatform.lake.handles import newest
from dataplatform.project import Project
from dataplatform_tests.shop import deliver, load, shop_tables

D1, D2 = "2011-01-01", "2011-01-02"


def rows_of(handle: DeltaTable | None) -> list[int]:
    assert handle is not None
    return sorted(int(row["n"]) for row in handle.to_pyarrow_table().to_pylist())


def commit(folder: Path, *numbers: int) -> None:
    write_deltalake(str(folder), pa.table({"n": list(numbers)}), mode="append")


def test_a_table_that_is_the_same_is_not_opened_again(tmp_path: Path) -> None:
    commit(tmp_path, 1)
    assert newest(tmp_path) is newest(tmp_path)


def test_what_anybody_commits_is_seen_at_once(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    for number in (1, 2, 3):
        commit(tmp_path, number)
        assert rows_of(newest(tmp_path)) == list(range(1, number + 1))


def test_a_handle_that_somebody_moved_on_is_not_given_again(tmp_path: Path) -> None:
    commit(tmp_path, 1)
    moved = newest(tmp_path)
    assert moved is not None
    write_deltalake(moved, pa.table({"n": [2]}), mode="append")
    assert newest(tmp_path) is not moved
    assert rows_of(newest(tmp_path)) == [1, 2]


def test_a_restored_copy_with_the_same_number_of_versions_is_another_table(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    commit(one, 1)
    commit(other, 7)
    assert rows_of(newest(one)) == [1]
    shutil.rmtree(one)
    shutil.copytree(other, one)
    assert rows_of(newest(one)) == [7]
    shutil.rmtree(one)
    assert newest(one) is None


def test_only_the_most_recent_tables_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "MOST", 2)
    folders = [tmp_path / str(number) for number in range(3)]
    for folder in folders:
        commit(folder, 1)
    first = newest(folders[0])
    assert newest(folders[0]) is first
    assert all(newest(folder) is not None for folder in folders[1:])
    assert newest(folders[0]) is not first


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def published(project: Project) -> Sequence[str]:
    return sorted(project.lake.table(project.catalog.get("raw_shop_orders")).open().state.slices)


def test_a_table_is_opened_once_between_two_publications(shop: Project) -> None:
    table = shop.lake.table(shop.catalog.get("raw_shop_orders"))
    deliver(shop, D1, [("1", "7", "UK", "1")])
    before = table.open()
    assert table.open() is before
    deliver(shop, D2, [("2", "7", "UK", "1")])
    assert table.open() is not before
    assert (sorted(before.state.slices), published(shop)) == ([D1], [D1, D2])


def test_who_publishes_has_a_handle_of_its_own(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    table = shop.lake.table(shop.catalog.get("raw_shop_orders"))
    assert table.open_to_publish().handle is not table.open().handle


def test_a_record_that_is_damaged_between_two_looks_counts_as_none(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    assert published(shop) == [D1]
    folder = shop.lake.table(shop.catalog.get("raw_shop_orders")).folder / "_publications"
    (record,) = folder.glob("*.json")
    record.write_text("{", encoding="utf-8")
    assert published(shop) == []
