"""Readers never wait and never see half; nobody else writes; what a killed refresh leaves is harmless."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from dataplatform.errors import TransientError
from dataplatform.warehouse import files, loading
from dataplatform.warehouse.files import KEPT, WarehouseFiles, copy_file
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.component.warehouse.looking import content, reader, total
from dataplatform_tests.published import DAYS, PublishedLake

COUNT = "SELECT count(*) FROM dimensional.fact_sales"


def test_readers_before_during_and_after_a_swap_in_the_same_process(
    lake: PublishedLake, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    fill = loading.fill

    def look_and_fill(*given: object) -> object:
        filled = fill(*given)  # type: ignore[arg-type]
        with closing(warehouse.connect()) as during:
            seen.append(total(during))
        return filled

    with closing(warehouse.connect()) as before:
        lake.sales([DAYS[6]])
        monkeypatch.setattr("dataplatform.warehouse.store.fill", look_and_fill)
        warehouse.refresh()
        with closing(warehouse.connect()) as after:
            assert (total(before), seen, total(after)) == (10, [10], 12)
    # a path opened by name gives the new file too: this DuckDB follows the link before it looks at what is open
    with closing(duckdb.connect(str(warehouse.path), read_only=True)) as by_name:
        assert total(by_name) == 12


def test_readers_before_during_and_after_a_swap_in_another_process(
    lake: PublishedLake, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pain 1: readers are never locked out, and lock nobody out."""
    seen: list[str] = []
    fill = loading.fill

    def look_and_fill(*given: object) -> object:
        filled = fill(*given)  # type: ignore[arg-type]
        with reader(warehouse.path) as during:
            seen.extend([before.ask(COUNT), during.ask(COUNT)])
        return filled

    with reader(warehouse.path) as before:
        assert before.ask(COUNT) == "10"
        lake.sales([DAYS[6]])
        monkeypatch.setattr("dataplatform.warehouse.store.fill", look_and_fill)
        warehouse.refresh()
        with reader(warehouse.path) as after:
            assert (before.ask(COUNT), seen, after.ask(COUNT)) == ("10", ["10", "10"], "12")


def test_a_reader_keeps_its_file_even_when_it_is_removed(lake: PublishedLake, warehouse: Warehouse) -> None:
    with closing(warehouse.connect()) as early:
        file = warehouse.path.resolve()
        for day in DAYS[5 : 5 + KEPT + 1]:
            lake.sales([day])
            warehouse.refresh()
        assert not file.exists()
        assert total(early) == 10


def test_the_current_file_is_numbered_and_nobody_may_write_it(warehouse: Warehouse) -> None:
    assert str(warehouse.path.readlink()) == "warehouse-000001.duckdb"
    assert warehouse.path.resolve().stat().st_mode & 0o777 == 0o444


_WRITER = """
import sys, duckdb
try:
    with duckdb.connect(sys.argv[1]) as connection:
        connection.execute(sys.argv[2])
except duckdb.Error as error:
    print(type(error).__name__, error)
"""


def _write(path: Path, statement: str) -> str:
    command = [sys.executable, "-c", _WRITER, str(path), statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM dimensional.fact_sales",
        "DROP TABLE dimensional.fact_sales",
        "CREATE TABLE mine AS SELECT * FROM range(1000000)",
        "INSERT INTO aggregate.daily_sales SELECT DATE '2011-01-01', range FROM range(1000000)",
    ],
)
def test_an_opener_that_writes_is_refused_even_when_it_is_root(warehouse: Warehouse, statement: str) -> None:
    before = content(warehouse)
    refused = _write(warehouse.path, statement)
    assert "Exception" in refused
    # whoever is bound by file modes cannot open it to write; root cannot commit
    assert "Permission denied" in refused or "Failed to commit" in refused
    assert content(warehouse) == before
    assert warehouse.stale() == []


@pytest.mark.parametrize("opened", ["by the platform", "by name"])
def test_a_read_only_connection_refuses_to_write(warehouse: Warehouse, opened: str) -> None:
    given = warehouse.connect() if opened == "by the platform" else duckdb.connect(str(warehouse.path), read_only=True)
    with closing(given) as connection, pytest.raises(duckdb.InvalidInputException, match="read-only mode"):
        connection.execute("DELETE FROM dimensional.fact_sales")


def test_a_foreign_write_ahead_log_is_removed_and_never_replayed(lake: PublishedLake, warehouse: Warehouse) -> None:
    for name in ("warehouse.duckdb.wal", "warehouse-000002.duckdb.wal", "warehouse-000002.duckdb.partial.wal"):
        (warehouse.path.parent / name).write_bytes(b"left behind")
    lake.sales([DAYS[6]])
    warehouse.refresh()
    with closing(warehouse.connect()) as connection:
        assert total(connection) == 12
    assert not (warehouse.path.parent / "warehouse.duckdb.wal").exists()


def test_two_files_before_the_current_one_are_kept(lake: PublishedLake, warehouse: Warehouse) -> None:
    for day in DAYS[5:10]:
        lake.sales([day])
        warehouse.refresh()
    names = sorted(path.name for path in warehouse.path.parent.glob("*.duckdb"))
    assert names == [*(f"warehouse-00000{n}.duckdb" for n in (4, 5, 6)), "warehouse.duckdb"]
    logs = sorted(path.name for path in warehouse.path.parent.glob("*.wal"))
    assert logs == [f"warehouse-00000{n}.duckdb.wal" for n in (4, 5, 6)]


class Crash(BaseException):
    """Stands for a process that dies here: nothing after it runs."""


def _crash(*_: object, **__: object) -> None:
    raise Crash


# where a refresh can die: while copying, loading, sealing, and around each of the renames of the swap
CRASH_POINTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the copy": lambda patch: patch.setattr(files, "copy_file", _crash),
    "before loading": lambda patch: patch.setattr("dataplatform.warehouse.store.fill", _crash),
    "while noting what was loaded": lambda patch: patch.setattr(loading, "_note", _crash),
    "before the file is sealed": lambda patch: patch.setattr(Path, "chmod", _crash),
    "before the file has its name": lambda patch: patch.setattr(Path, "rename", _crash),
    "before the link is swapped": lambda patch: patch.setattr(Path, "replace", _crash),
}


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("cleaned_up", [True, False], ids=["stopped", "killed"])
def test_a_crash_at_any_point_leaves_the_old_warehouse_and_the_next_refresh_is_whole_again(
    lake: PublishedLake, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, point: str, *, cleaned_up: bool
) -> None:
    before, file = content(warehouse), warehouse.path.resolve()
    lake.sales([DAYS[1], DAYS[6]], "9.000")
    with monkeypatch.context() as patch:
        CRASH_POINTS[point](patch)
        if not cleaned_up:
            patch.setattr(WarehouseFiles, "_clean", lambda _: None)
        with pytest.raises(Crash):
            warehouse.refresh()
    assert warehouse.path.resolve() == file
    assert content(warehouse) == before
    assert len(warehouse.stale()) == 2

    warehouse.refresh()
    assert warehouse.stale() == []
    assert {path.name for path in warehouse.path.parent.iterdir()} == {
        ".refresh.lock",
        "warehouse.duckdb",
        *(f"{each.name}{end}" for each in (file, warehouse.path.resolve()) for end in ("", ".wal")),
    }


def test_a_refresh_killed_in_mid_transaction_leaves_a_file_that_is_never_used(
    lake: PublishedLake, warehouse: Warehouse
) -> None:
    before = content(warehouse)
    partial = warehouse.path.parent / "warehouse-000002.duckdb.partial"
    script = (
        "import os, shutil, sys, duckdb\n"
        "shutil.copyfile(sys.argv[1], sys.argv[2])\n"
        "connection = duckdb.connect(sys.argv[2])\n"
        "connection.execute('DELETE FROM dimensional.fact_sales')\n"
        "connection.execute('BEGIN; DELETE FROM aggregate.daily_sales')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse.path), str(partial)], check=False)
    assert killed.returncode == -9
    assert partial.with_name(f"{partial.name}.wal").exists()
    assert content(warehouse) == before
    lake.sales([DAYS[6]])
    warehouse.refresh()
    assert not list(warehouse.path.parent.glob("*.partial*"))
    with closing(warehouse.connect()) as connection:
        assert total(connection) == 12


def test_two_refreshes_at_once_are_excluded(warehouse: Warehouse) -> None:
    """Pain 1: whoever writes has the file alone, and the other is told so."""
    holder = WarehouseFiles(warehouse.path.parent)
    with (
        holder.exclusive(wait=0),
        pytest.raises(TransientError, match=f"being refreshed by process {os.getpid()}; try again"),
    ):
        warehouse.refresh(wait=0.2)
    assert warehouse.refresh().kind == "unchanged"


def test_a_killed_holder_frees_the_turn(warehouse: Warehouse) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from dataplatform.warehouse.files import WarehouseFiles\n"
        "with WarehouseFiles(Path(sys.argv[1])).exclusive(wait=0):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    checkout = Path(files.__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse.path.parent)], cwd=checkout, check=False)
    assert killed.returncode == -9
    assert warehouse.refresh(wait=0).kind == "unchanged"


def test_a_lost_link_makes_the_warehouse_anew_under_a_number_never_used(warehouse: Warehouse) -> None:
    before = content(warehouse)
    warehouse.path.unlink()
    assert warehouse.refresh().kind == "whole"
    assert warehouse.path.resolve().name == "warehouse-000002.duckdb"
    assert content(warehouse) == {**before}


def test_where_blocks_cannot_be_shared_the_file_is_copied_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x" * 100_000)

    def unsupported(*_: object) -> int:
        raise OSError(95, "Operation not supported")

    for attempt in (None, unsupported):
        if attempt is not None:
            monkeypatch.setattr(os, "copy_file_range", attempt)
        copy_file(source, target)
        assert target.read_bytes() == source.read_bytes()
        target.unlink()
