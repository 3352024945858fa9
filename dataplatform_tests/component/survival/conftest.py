"""The small shop after its first files, and after what arrived later: made once undisturbed, and copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import victims
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop, published, settings_of, warehouse


@dataclass(frozen=True)
class Undisturbed:
    """One run from nothing and one for what arrived later: their folder, all they left, and their seconds."""

    folder: Path
    first: dict[str, Any]
    later: dict[str, Any]
    first_seconds: float
    later_seconds: float


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """`<folder>/first` is the shop after its first run, `<folder>/later` after its second, each with its `data`."""
    folder = tmp_path_factory.mktemp("undisturbed")
    settings = make_shop(folder / "first")
    victims.seconds_of(settings, "--help", output=folder / "warm-up")
    first_seconds = victims.seconds_of(settings, "run", output=folder / "first-output")
    first = everything(Project.load(settings))
    shutil.copytree(folder / "first", folder / "later", symlinks=True)
    deliver(folder / "later", LATER_FILES)
    settings = settings_of(folder / "later")
    later_seconds = victims.seconds_of(settings, "run", output=folder / "later-output")
    return Undisturbed(folder, first, everything(Project.load(settings)), first_seconds, later_seconds)


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """The shop with its first files, before any run."""
    return make_shop(tmp_path)


@pytest.fixture
def ran(undisturbed: Undisturbed, tmp_path: Path) -> Callable[[str], Settings]:
    """A copy of the shop after its `first` or its `later` run; asked for again, a fresh copy in the same place."""

    def copy(name: str = "first") -> Settings:
        shutil.rmtree(tmp_path / "shop", ignore_errors=True)
        shutil.copytree(undisturbed.folder / name, tmp_path / "shop", symlinks=True)
        return settings_of(tmp_path / "shop")

    return copy


NOTHING: Mapping[str, Any] = {"rows": {}, "warehouse": {}}
"""What is there before the first run."""


def by_partition(project: Project, table: str, rows: Sequence[tuple[Any, ...]]) -> dict[Any, list[tuple[Any, ...]]]:
    """Rows by the value of the partition column; all under None where there is none."""
    contract = project.catalog.get(table)
    column = contract.partition_column
    found: dict[Any, list[tuple[Any, ...]]] = {}
    for row in rows:
        key = None if column is None else row[contract.column_names.index(column)]
        found.setdefault(key, []).append(row)
    return found


def assert_nothing_is_half(project: Project, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Each partition is as before the run or as after it, and so is the warehouse as a whole."""
    for table, rows in published(project).items():
        old, new = (by_partition(project, table, state["rows"].get(table, [])) for state in (before, after))
        for partition, found in by_partition(project, table, rows).items():
            assert found in (old.get(partition), new.get(partition)), f"{table} {partition}"
        assert old.keys() <= by_partition(project, table, rows).keys(), f"{table}: partitions are gone"
    assert warehouse(project) in (before["warehouse"], after["warehouse"])
