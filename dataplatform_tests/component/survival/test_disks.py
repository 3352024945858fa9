"""No space left, and folders that cannot be written: one line says so, nothing is half, and the next run goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.component.survival.conftest import Undisturbed, assert_nothing_is_half
from dataplatform_tests.disks import TinyDisk, limited_files, read_only, tiny_disk
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, run

Copy = Callable[[str], Settings]


def assert_it_comes_through(settings: Settings, disk: TinyDisk, left: int, undisturbed: Undisturbed) -> None:
    """A run on a full disk is red, says why and breaks nothing; with room again, the next one does the rest."""
    deliver(settings.landing_folder.parent, LATER_FILES)
    disk.fill(left)
    output = run(settings, code=1)
    assert re.search(disk.says, output), output
    disk.free()
    project = Project.load(settings)
    assert_nothing_is_half(project, undisturbed.first, undisturbed.later)
    run(settings)
    assert everything(project) == undisturbed.later


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ("", 700_000), ("lake", 0), ("lake/quarantine", 0), ("lake/quality", 0), ("warehouse", 8192), ("dagster", 8192),
    ],
)  # fmt: skip
def test_a_disk_without_space(ran: Copy, undisturbed: Undisturbed, part: str, left: int) -> None:
    settings = ran("first")
    with tiny_disk(settings.data_dir / part, megabytes=32) as disk:
        assert_it_comes_through(settings, disk, left, undisturbed)


def test_files_that_may_not_grow(ran: Copy, undisturbed: Undisturbed) -> None:
    settings = ran("first")
    with limited_files(settings.data_dir) as disk:
        assert_it_comes_through(settings, disk, 50_000, undisturbed)


@pytest.mark.parametrize("part", ["", "lake", "dagster", "reports"])
def test_a_folder_that_cannot_be_written(ran: Copy, undisturbed: Undisturbed, part: str) -> None:
    settings = ran("first")
    deliver(settings.landing_folder.parent, LATER_FILES)
    with read_only(settings.data_dir / part) as says:
        output = run(settings, code=1)
    assert re.search(says, output), output
    project = Project.load(settings)
    assert_nothing_is_half(project, undisturbed.first, undisturbed.later)
    run(settings)
    assert everything(project) == undisturbed.later


def test_a_data_folder_that_cannot_be_made_is_named() -> None:
    settings = Settings.load(data_dir="/proc/no-such-place/data")
    output = run(settings, code=1)
    assert output.startswith("cannot write in the data folder /proc/no-such-place/data: ")
    assert output.endswith("; choose another with --data-dir\n")


def test_a_landing_that_cannot_be_written_is_all_that_is_needed(
    fresh: Settings, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with read_only(fresh.landing_folder):
        run(fresh)
    assert everything(Project.load(fresh)) == undisturbed.first


def test_a_full_disk_on_the_first_run_of_all(fresh: Settings, undisturbed: Undisturbed) -> None:
    fresh.data_dir.mkdir()
    with tiny_disk(fresh.data_dir, megabytes=32) as disk:
        disk.fill(700_000)
        assert re.search(disk.says, run(fresh, code=1))
        disk.free()
        run(fresh)
        assert everything(Project.load(fresh)) == undisturbed.first
