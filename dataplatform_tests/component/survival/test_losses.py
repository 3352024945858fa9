"""What is lost, damaged or restored from an older copy: the next run does exactly what is needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dataplatform.lake.records import FOLDER
from dataplatform.operations.instance import open_instance
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.planner.plan import LOST, make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.component.survival.conftest import Undisturbed
from dataplatform_tests.shop import settle
from dataplatform_tests.small_shop import DAYS, LATER_FILES, deliver, everything, file_of, published, run

D1, D2, D3, D4, D5, _ = DAYS
Made = Sequence[tuple[str, str]]
WHAT_IS_LATER = [
    ("daily_orders", D3), ("daily_orders", D5), ("dim_buyer", "all"), ("fact_orders", D3), ("fact_orders", D4),
    ("fact_orders", D5), ("orders", D3), ("orders", D4), ("orders", D5), ("raw_shop_orders", D3),
    ("raw_shop_orders", D4), ("raw_shop_orders", D5),
]  # fmt: skip
"""What changes when the later files arrive. The 4th has another bad row, so its orders are equal; its fact moves."""


@pytest.fixture
def later(ran: Callable[[str], Settings]) -> Settings:
    return ran("later")


def lake_of(settings: Settings, *parts: str) -> Path:
    return settings.lake_dir.joinpath(*parts)


def replace(folder: Path, copy: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder, symlinks=True)


def reasons(project: Project) -> dict[tuple[str, str], str]:
    return {(slice_.table, slice_.partition): slice_.reason for slice_ in make_plan(project).slices() if slice_.certain}


# the instance


def test_a_lost_instance_is_told_again_what_is_published(later: Settings, undisturbed: Undisturbed) -> None:
    shutil.rmtree(later.dagster_home)
    output = run(later)
    assert "nothing to do" in output
    assert "Dagster did not know 21 published slices; it does now" in output
    assert "did not know" not in run(later)
    assert everything(Project.load(later)) == undisturbed.later


def test_an_instance_restored_from_an_older_copy_is_repaired(later: Settings, undisturbed: Undisturbed) -> None:
    replace(later.dagster_home, undisturbed.folder / "first" / "data" / "dagster")
    output = run(later)
    assert "nothing to do" in output
    assert "Dagster did not know" in output
    project = Project.load(later)
    with open_instance(later) as instance:
        assert reconcile_events(project, instance) == 0
    assert everything(project) == undisturbed.later


# the lake


def test_what_arrives_later_changes_exactly_this(ran: Callable[[str], Settings]) -> None:
    settings = ran("first")
    deliver(settings.landing_folder.parent, LATER_FILES)
    assert sorted(settle(Project.load(settings))) == sorted(made_with_unchanged())


def made_with_unchanged() -> Made:
    """`WHAT_IS_LATER`, and the slice that was looked at and found to be equal."""
    return [*WHAT_IS_LATER, ("daily_orders", D4)]


def test_a_lake_restored_from_an_older_copy_is_brought_up_to_date(later: Settings, undisturbed: Undisturbed) -> None:
    served = Warehouse(Project.load(later)).path.resolve()
    replace(lake_of(later), undisturbed.folder / "first" / "data" / "lake")
    project = Project.load(later)
    assert sorted(settle(project)) == sorted(made_with_unchanged())
    run(later)
    assert everything(project) == undisturbed.later
    assert Warehouse(project).path.resolve() == served, "the warehouse was right all the time"


def test_one_table_restored_from_an_older_copy_is_all_that_is_made(later: Settings, undisturbed: Undisturbed) -> None:
    replace(lake_of(later, "cleaned"), undisturbed.folder / "first" / "data" / "lake" / "cleaned")
    project = Project.load(later)
    assert settle(project) == [("orders", D3), ("orders", D4), ("orders", D5)]
    run(later)
    assert everything(project) == undisturbed.later


def test_a_lost_table_is_all_that_is_made(later: Settings, undisturbed: Undisturbed) -> None:
    shutil.rmtree(lake_of(later, "dimensional", "fact_orders"))
    project = Project.load(later)
    assert settle(project) == [("fact_orders", day) for day in DAYS[:5]]
    run(later)
    assert everything(project) == undisturbed.later


def test_a_lost_quarantine_is_made_again(later: Settings, undisturbed: Undisturbed) -> None:
    shutil.rmtree(lake_of(later, "quarantine"))
    project = Project.load(later)
    assert sorted(settle(project)) == [("orders", D1), ("orders", D4), ("orders", D5)]
    run(later)
    assert everything(project) == undisturbed.later


# records


@pytest.fixture(params=["raw/raw_shop_orders", "cleaned/orders", "dimensional/dim_buyer", "dimensional/fact_orders"])
def damaged(request: pytest.FixtureRequest, later: Settings) -> tuple[Settings, str]:
    """A lake one of whose tables has its newest record cut in half."""
    folder = lake_of(later, request.param, FOLDER)
    newest = max(folder.glob("*.json"))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    return later, request.param.partition("/")[2]


def test_a_damaged_record_makes_its_own_slices_again_and_no_others(
    damaged: tuple[Settings, str], undisturbed: Undisturbed
) -> None:
    settings, table = damaged
    project = Project.load(settings)
    found = reasons(project)
    assert {name for name, _ in found} == {table}
    assert LOST in found.values()
    assert sorted(settle(project)) == sorted(found)
    run(settings)
    assert everything(project) == undisturbed.later


def test_lost_records_of_days_whose_files_are_gone_erase_nothing(later: Settings, undisturbed: Undisturbed) -> None:
    for record in lake_of(later, "raw", "raw_shop_orders", FOLDER).iterdir():
        record.unlink()
    for day in (D1, D3):
        file_of(later.landing_folder.parent, day).unlink()
    project = Project.load(later)
    assert settle(project) == [("raw_shop_orders", day) for day in DAYS[:5]]
    run(later)
    expected = undisturbed.later
    found = everything(project)
    assert found["rows"] == expected["rows"]
    assert (found["stale"], found["warehouse"]) == ([], expected["warehouse"])
    deliver(later.landing_folder.parent, {D3: LATER_FILES[D3]})
    assert settle(project) == [("raw_shop_orders", D3)], "what comes back is read, and found to be equal"


def test_everything_is_known_without_deltas_log(later: Settings, undisturbed: Undisturbed) -> None:
    project = Project.load(later)
    for contract in project.catalog:
        prune_log(project.lake.table(contract).folder)
    assert settle(project) == []
    deliver(later.landing_folder.parent, {D2: [("21", "8", "FR", "100")]})
    assert sorted(settle(project)) == [
        ("daily_orders", D2), ("dim_buyer", "all"), ("fact_orders", D2), ("orders", D2), ("raw_shop_orders", D2)
    ]  # fmt: skip
    assert published(project)["daily_orders"] != undisturbed.later["rows"]["daily_orders"]


def prune_log(folder: Path) -> None:
    """What Delta does after thirty days: nothing is left but a checkpoint and the commit it stands for."""
    from deltalake import DeltaTable

    handle = DeltaTable(str(folder))
    handle.create_checkpoint()
    for version in range(handle.version()):
        (folder / "_delta_log" / f"{version:020d}.json").unlink()


def test_a_backup_that_was_made_while_a_run_was_at_work_is_brought_up_to_date(
    later: Settings, undisturbed: Undisturbed
) -> None:
    """Files are copied by name: the log first, and the records after the commits that came meanwhile."""
    log = lake_of(later, "cleaned", "orders", "_delta_log")
    max(log.glob("*.json")).unlink()
    project = Project.load(later)
    assert {name for name, _ in reasons(project)} == {"orders"}
    run(later)
    assert everything(project) == undisturbed.later
    assert project.lake.table(project.catalog.get("orders")).open().is_ahead is False


# serving


@pytest.fixture(params=["warehouse", "warehouse/warehouse.duckdb", "reports", "tmp", "run.lock"])
def lost(request: pytest.FixtureRequest, later: Settings) -> Iterator[Settings]:
    path = later.data_dir / request.param
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    yield later
    assert path.exists() or request.param == "tmp"


def test_what_is_lost_beside_the_lake_is_made_from_the_lake(lost: Settings, undisturbed: Undisturbed) -> None:
    output = run(lost)
    assert " slices published" not in output
    assert everything(Project.load(lost)) == undisturbed.later
    assert any_report(lost)


def any_report(settings: Settings) -> list[Any]:
    return list(settings.reports_dir.glob("*.html"))
