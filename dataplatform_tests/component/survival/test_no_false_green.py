"""Whatever goes wrong in a run is in its exit code: also what no slice or step can be blamed for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets import definition, slices
from dataplatform.build import build_definitions
from dataplatform.operations.run import MOST_ATTEMPTS, run_stale
from dataplatform.project import Project
from dataplatform_tests.small_shop import make_shop


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.load(make_shop(tmp_path))


def test_slices_that_are_stale_again_however_often_they_are_made_end_the_run_in_red(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "write_record", lambda *_: None)
    summary = run_stale(project, build_definitions, instance, select=["raw_shop_orders"])
    assert len(summary.waves) == MOST_ATTEMPTS
    assert summary.exit_code == 1
    line = "raw_shop_orders 2011-01-01: made 3 times and stale again (published, but its record is lost)"
    assert summary.failed[0] == line
    assert len(summary.failed) == 4


def test_a_step_that_breaks_after_it_has_published_is_an_error(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise RuntimeError("no metadata today")

    monkeypatch.setattr(definition, "run_metadata", broken)
    summary = run_stale(project, build_definitions, instance, select=["raw_shop_orders"])
    assert summary.exit_code == 1
    assert summary.failed == ["raw.raw_shop_orders 2011-01-01..2011-01-04: RuntimeError: no metadata today"]


def test_a_run_that_fails_before_its_first_step_is_an_error(project: Project, instance: dg.DagsterInstance) -> None:
    def without_storage(loaded: Project, on_outcome: Any) -> dg.Definitions:
        def broken(_: dg.InitResourceContext) -> dg.IOManager:
            raise RuntimeError("no storage today")

        whole = build_definitions(loaded, on_outcome)
        broken_manager = dg.IOManagerDefinition(resource_fn=broken)
        return dg.Definitions(
            assets=whole.assets,
            resources={**(whole.resources or {}), "lake_io_manager": broken_manager},
            executor=whole.executor,
        )

    summary = run_stale(project, without_storage, instance, select=["raw_shop_orders", "orders"])
    assert summary.exit_code == 1
    assert len(summary.waves) == 1, "what failed is not tried again within one call"
    (line,) = summary.failed
    assert line.startswith("raw_shop_orders, orders 2011-01-01..2011-01-04: run ")
    assert f"{summary.waves[0].run_id} did not end well" in line
