"""Dagster's record follows the lake: whatever was lost or is wrong there is reported again, and no more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.assets.definition import CODE_VERSION_TAG, DATA_VERSION_TAG, asset_key
from dataplatform.assets.slices import make_slices
from dataplatform.build import build_definitions
from dataplatform.operations.instance import open_instance
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.operations.run import run_stale
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.in_dagster import drop, materialize

D1, D2 = "2011-01-01", "2011-01-02"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def delivered(tmp_path: Path) -> Project:
    """Two days' files, and nothing made of them yet."""
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path)
    drop(project, D1, "1,7,UK,1.5", "2,8,FR,2")
    drop(project, D2, "3,7,UK,1")
    return project


def published(project: Project) -> dict[tuple[str, str], str]:
    """(table, partition) -> revision, of everything in the lake."""
    return {
        (contract.name, partition): slice_.revision
        for contract in project.catalog
        for partition, slice_ in project.lake.table(contract).open().state.slices.items()
    }


def latest(instance: dg.DagsterInstance, project: Project, table: str, partition: str) -> dg.AssetMaterialization:
    key = asset_key(project.catalog.get(table))
    wanted = dg.AssetRecordsFilter(key, asset_partitions=None if partition == "all" else [partition])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return record.asset_materialization


def test_what_the_lake_holds_and_dagster_has_never_seen_is_reported(
    project: Project, instance: dg.DagsterInstance
) -> None:
    made = published(project)
    assert reconcile_events(project, instance) == len(made)
    for (table, partition), revision in made.items():
        event = latest(instance, project, table, partition)
        contract = project.catalog.get(table)
        state = project.lake.table(contract).open().state.slices[partition]
        rows = "dagster/row_count" if partition == "all" else "dagster/partition_row_count"
        assert event.tags == {DATA_VERSION_TAG: revision, CODE_VERSION_TAG: project.version_of(contract)}
        assert {name: value.value for name, value in event.metadata.items()} == {
            rows: state.rows, "revision": revision, "repaired": True, "published_by_run": state.run_id
        }  # fmt: skip


def test_a_second_look_reports_nothing(project: Project, instance: dg.DagsterInstance) -> None:
    reconcile_events(project, instance)
    assert reconcile_events(project, instance) == 0


def test_what_runs_have_reported_is_not_repaired(delivered: Project, instance: dg.DagsterInstance) -> None:
    tables = " ".join(delivered.catalog.names)
    assert materialize(delivered, instance, tables, (D1, D2)).success
    assert materialize(delivered, instance, "orders", (D1, D1)).success
    assert reconcile_events(delivered, instance) == 0


def test_a_wrong_data_version_is_repaired_alone(project: Project, instance: dg.DagsterInstance) -> None:
    reconcile_events(project, instance)
    for table, partition in (("orders", D1), ("dim_buyer", None)):
        key = asset_key(project.catalog.get(table))
        wrong = dg.AssetMaterialization(key, partition=partition, tags={DATA_VERSION_TAG: "of-another-restore"})
        instance.report_runless_asset_event(wrong)
    assert reconcile_events(project, instance) == 2
    made = published(project)
    for table, partition in (("orders", D1), ("dim_buyer", "all")):
        event = latest(instance, project, table, partition)
        assert (event.tags or {})[DATA_VERSION_TAG] == made[table, partition]
    assert reconcile_events(project, instance) == 0


def test_a_publication_that_no_event_followed_is_repaired(delivered: Project, instance: dg.DagsterInstance) -> None:
    """As after `kill -9` between commit and event: the lake has the new rows, Dagster tells of the old ones."""
    tables = " ".join(delivered.catalog.names)
    materialize(delivered, instance, tables, (D1, D2))
    drop(delivered, D2, "3,7,UK,9")
    make_slices(delivered, delivered.catalog.get("raw_shop_orders"), [D2], run_id="killed")
    assert reconcile_events(delivered, instance) == 1
    revision = published(delivered)["raw_shop_orders", D2]
    assert (latest(instance, delivered, "raw_shop_orders", D2).tags or {})[DATA_VERSION_TAG] == revision


def test_after_the_instance_is_lost_the_next_run_makes_no_slice_and_repairs_the_record(delivered: Project) -> None:
    with open_instance(delivered.settings) as instance:
        assert run_stale(delivered, build_definitions, instance).exit_code == 0
    shutil.rmtree(delivered.settings.dagster_home)
    with open_instance(delivered.settings) as instance:
        summary = run_stale(delivered, build_definitions, instance)
        assert summary.outcomes == []
        assert summary.reconciled == len(published(delivered))
        orders = asset_key(delivered.catalog.get("orders"))
        assert instance.get_materialized_partitions(orders) == {D1, D2}
        assert run_stale(delivered, build_definitions, instance).reconciled == 0
