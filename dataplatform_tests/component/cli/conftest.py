"""The example shop with two delivered days, made once by the command itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.command import call

HEADER = "order_id,buyer_id,country,amount"
FIRST_DAY = ["1,7,UK,3.5", "2,8,FR,4"]
SECOND_DAY = ["3,7,UK,0.25", "4,8,FR,-3.5"]


def deliver(project: Project, day: str, *lines: str) -> None:
    """Puts one day's file where deliveries arrive."""
    folder = project.settings.landing_folder / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{day}.csv").write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")


@pytest.fixture(scope="package")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The shop after its first run, and what the run said. Tests take copies of the folder."""
    folder = tmp_path_factory.mktemp("shop")
    shop.shop_tables(folder, daily_orders={"document": {"tags": ["headline"]}})
    project = shop.load(folder)
    deliver(project, "2011-01-01", *FIRST_DAY)
    deliver(project, "2011-01-02", *SECOND_DAY)
    return folder, call(project.settings, "run")


@pytest.fixture
def project(first_run: tuple[Path, Result], tmp_path: Path) -> Project:
    """The shop after its first run, to do with as a test likes."""
    shutil.copytree(first_run[0], tmp_path, dirs_exist_ok=True, symlinks=True)
    return shop.load(tmp_path)
