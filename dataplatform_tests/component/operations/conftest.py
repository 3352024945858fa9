"""The example shop after three deliveries: one clean day, one with a row put aside, one that is blocked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataplatform.project import Project
from dataplatform_tests import shop

TABLES = ("orders", "dim_buyer", "fact_orders", "daily_orders")


@pytest.fixture(scope="package")
def published_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: tests take copies of it."""
    folder = tmp_path_factory.mktemp("shop")
    shop.shop_tables(folder, daily_orders={"document": {"tags": ["headline"]}})
    project = shop.load(folder)
    shop.deliver(project, "2011-01-01", [("1", "7", "UK", "3.5"), ("2", "8", "FR", "4")])
    shop.deliver(project, "2011-01-02", [("3", "7", "UK", "0.25"), ("4", "8", "FR", "-3.5")])
    shop.deliver(project, "2011-01-03", [("5", "7", "UK", "x"), ("6", "7", "UK", "-3.5"), ("7", "7", "UK", "5")])
    shop.settle(project, select=TABLES)
    shop.settle(project, select=TABLES)
    return folder


@pytest.fixture
def project(published_shop: Path, tmp_path: Path) -> Project:
    """The shop, to do with as a test likes."""
    shutil.copytree(published_shop, tmp_path, dirs_exist_ok=True)
    return shop.load(tmp_path)
