"""A small published lake, and the warehouse that is made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.published import PublishedLake


@pytest.fixture
def lake(tmp_path: Path) -> PublishedLake:
    """Customers, and sales of five of ten days."""
    published = PublishedLake(tmp_path)
    published.fill()
    return published


@pytest.fixture
def warehouse(lake: PublishedLake) -> Warehouse:
    """Made, and up to date."""
    made = Warehouse(lake.project)
    made.refresh()
    return made
