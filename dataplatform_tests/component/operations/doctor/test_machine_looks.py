"""Folders, disk, leftovers, packages and time zones: each found and not found."""

from __future__ import annotations

import os
import time
import zoneinfo
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.doctor import machine_looks
from dataplatform.operations.doctor.examination import LOOKS, Examination, examine
from dataplatform.settings import CHECKOUT, Settings
from dataplatform_tests.component.operations.doctor.conftest import kinds, look
from dataplatform_tests.small_shop import make_shop

LONG_AGO = time.time() - 2 * 86400


def age(path: Path) -> None:
    for each in (*path.rglob("*"), path):
        os.utime(each, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def test_a_file_where_a_folder_belongs_is_found(tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    assert kinds(settings, "folders") == []
    settings.data_dir.mkdir()
    settings.reports_dir.touch()
    (found,) = look(settings, "folders").findings
    assert (found.what, found.mend) == (f"{settings.reports_dir} is no folder", f"move {settings.reports_dir} away")


def test_a_landing_that_is_not_there_is_found(tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    (tmp_path / "landing").rename(tmp_path / "elsewhere")
    assert [each.what for each in look(settings, "folders").findings] == [
        f"the landing {tmp_path / 'landing'} is not there"
    ]


def test_too_little_room_for_the_next_step_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_shop(tmp_path)
    assert kinds(settings, "disk") == []
    monkeypatch.setattr(machine_looks, "LEAST_FREE", 10**18)
    found = look(settings, "disk")
    assert ([each.kind.value for each in found.findings], found.exit_code) == (["disk_low"], 1)


def test_a_lake_larger_than_the_room_that_is_left_is_a_warning(tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    settings.lake_dir.mkdir(parents=True)
    with (settings.lake_dir / "large").open("wb") as file:
        file.truncate(8 * 10**12)  # a file with a hole: it takes no room
    found = look(settings, "disk")
    assert ([each.kind.value for each in found.findings], found.exit_code) == (["disk_low"], 0)


@pytest.fixture
def left(settings: Settings) -> list[Path]:
    """What killed processes leave, all of it two days old."""
    paths = [
        settings.tmp_dir / "instance-0f" / "block-0.tmp",
        settings.lake_dir / "cleaned/orders/_publications/1-2-3.partial",
        settings.lake_dir / "quality/rule_results/_pending/1-2.partial",
        settings.warehouse_dir / "warehouse-000099.duckdb.partial",
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
        age(path)
    age(paths[0].parent)
    return [paths[0].parent, *paths[1:]]


def test_old_leftovers_are_found_and_removed_on_demand_and_nothing_else(settings: Settings, left: list[Path]) -> None:
    breakers = settings.tmp_dir / "sources"
    breakers.mkdir(exist_ok=True)
    age(breakers)
    before = {path for path in settings.data_dir.rglob("*") if not any(path.is_relative_to(each) for each in left)}
    (found,) = look(settings, "leftovers").findings
    assert found.what.startswith("4 files of processes that ended: ")
    assert all(path.exists() for path in left)
    assert look(settings, "leftovers", fix=True).done == {0: "4 files removed"}
    assert set(settings.data_dir.rglob("*")) == before
    assert kinds(settings, "leftovers") == []


def test_what_is_younger_than_a_day_is_left_alone(settings: Settings, left: list[Path]) -> None:
    for path in left:
        os.utime(path)
    assert kinds(settings, "leftovers") == []


def test_what_a_process_has_open_is_left_alone(settings: Settings, left: list[Path]) -> None:
    with (left[0] / "block-0.tmp").open("rb"), left[3].open("rb"):
        assert look(settings, "leftovers", fix=True).done == {0: "2 files removed"}
        assert [path.exists() for path in left] == [True, False, False, True]


def locked(settings: Settings, lock: Path, text: str) -> Examination:
    lock.write_text(text)
    return examine(settings, build_definitions, looks={"versions": LOOKS["versions"]}, lock=lock)


def test_packages_that_differ_from_the_lock_are_found(tmp_path: Path) -> None:
    settings, lock, pandas = make_shop(tmp_path), tmp_path / "requirements.txt", version("pandas")
    same = (
        f"pandas=={pandas} \\\n    --hash=sha256:00\nelsewhere==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    assert locked(settings, lock, same).findings == []
    (found,) = locked(settings, lock, "pandas==0.1 \\\n    --hash=sha256:00\nelsewhere==1\n").findings
    assert found.what == f"pandas is {pandas}, not 0.1; elsewhere 1 is not installed"
    assert found.mend.endswith(str(lock))


def test_the_lock_of_the_checkout_is_read_whole() -> None:
    names = {name for name, _, _ in machine_looks._LOCKED.findall((CHECKOUT / "requirements.txt").read_text())}
    assert {"dagster", "duckdb", "psutil"} <= names
    assert len(names) > 100


@pytest.fixture
def odd_zones(tmp_path: Path) -> Iterator[None]:
    """A system whose London is Tokyo."""
    source = next(Path(folder) / "Asia/Tokyo" for folder in zoneinfo.TZPATH if (Path(folder) / "Asia/Tokyo").exists())
    zones = tmp_path / "zones"
    (zones / "Europe").mkdir(parents=True)
    (zones / "Europe/London").write_bytes(source.read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[str(zones)])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath(to=before)
    zoneinfo.ZoneInfo.clear_cache()


def test_time_zones_that_agree_are_no_finding(tmp_path: Path) -> None:
    assert kinds(make_shop(tmp_path), "time zones") == []


def test_time_zones_that_disagree_are_an_error(tmp_path: Path, odd_zones: None) -> None:
    found = look(make_shop(tmp_path), "time zones")
    assert ([each.kind.value for each in found.findings], found.exit_code) == (["time_zone_differs"], 1)
    assert "disagree on Europe/London in 2011-01" in found.findings[0].what
