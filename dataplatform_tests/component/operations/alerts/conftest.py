"""The example shop with a real instance, and what a look at it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.operations.alerts.looking import table_problems
from dataplatform.operations.alerts.problem import Problem
from dataplatform.operations.instance import open_instance
from dataplatform.project import Project
from dataplatform_tests import shop

NOW = datetime(2011, 1, 12, 12, 0, tzinfo=UTC)
D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
PRIVATE = "alice@example.com"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The shop of three days, none of them delivered yet; `buyer_id` is private."""
    shop.shop_tables(tmp_path)
    return shop.load(tmp_path, end_date=D3)


@pytest.fixture
def instance(project: Project) -> Iterator[dg.DagsterInstance]:
    with open_instance(project.settings) as opened:
        yield opened


Look = Callable[..., dict[str, Problem]]


@pytest.fixture
def look(instance: dg.DagsterInstance) -> Look:
    """What is wrong with tables, by kind. A kind that is wrong twice gives the last."""

    def found(project: Project, now: datetime = NOW) -> dict[str, Problem]:
        return {each.kind.value: each for each in table_problems(project, instance, now)}

    return found
