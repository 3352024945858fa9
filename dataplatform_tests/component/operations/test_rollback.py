"""A rollback: the rows of then in one commit, downstream stale exactly where they differ, and the table held."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets.slices import make_slices
from dataplatform.errors import OvertakenError, PermanentError
from dataplatform.lake.records import FOLDER, _names, _replace, read_state
from dataplatform.lake.table import LakeTable
from dataplatform.lake.versions import versions
from dataplatform.operations import rollback as rollbacks
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.operations.rollback import roll_back, rollback_text
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.serving.time_travel import table_at
from dataplatform_tests import shop

D1, D2, D3, D4 = (f"2011-01-0{number}" for number in range(1, 5))
WHEN_CORRECTED = [("1", "7", "ES", "9"), ("2", "8", "FR", "4")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days; then the first is corrected, which moves a buyer from its first day on; then a fourth day comes."""
    folder = tmp_path_factory.mktemp("shop")
    shop.shop_tables(folder)
    project = shop.load(folder)
    shop.deliver(project, D1, [("1", "7", "UK", "1"), ("2", "8", "FR", "4")])
    shop.deliver(project, D2, [("3", "8", "FR", "2")])
    shop.deliver(project, D3, [("4", "7", "UK", "3")])
    shop.settle(project, run="run-first")
    shop.deliver(project, D1, WHEN_CORRECTED)
    shop.deliver(project, D4, [("5", "9", "DE", "1"), ("6", "7", "UK", "x")])
    shop.settle(project, run="run-second")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Project:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return shop.load(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def lake_table(project: Project, table: str) -> LakeTable:
    return project.lake.table(project.catalog.get(table))


def rolled_back(project: Project, instance: dg.DagsterInstance, table: str, to: str) -> str:
    return roll_back(project, project.catalog.get(table), to, instance)


def rows_then(project: Project, table: str, version: int) -> list[tuple[Any, ...]]:
    found = table_at(project.settings, project.catalog, table, version=version)
    return sorted((tuple(row.values()) for row in found.to_pylist()), key=str)


def stale(project: Project) -> set[tuple[str, str]]:
    return {(slice_.table, slice_.partition) for slice_ in make_plan(project).slices()}


def days(project: Project, table: str) -> dict[str, int]:
    """Rows per day."""
    found: dict[str, int] = {}
    for (day,) in shop.rows(project, table, "business_date"):
        found[str(day)] = found.get(str(day), 0) + 1
    return found


# what becomes of the rows


def test_the_rows_of_then_come_back_in_one_commit_and_the_table_is_held(
    project: Project, instance: dg.DagsterInstance
) -> None:
    table = lake_table(project, "orders")
    before = table.open()
    said = rolled_back(project, instance, "orders", "1")
    after = table.open()
    assert shop.rows(project, "orders") == rows_then(project, "orders", 1)
    assert days(project, "orders") == {D1: 2, D2: 1, D3: 1}
    assert after.version == before.version + 2, "the hold, and one commit"
    assert (after.state.slices[D2], after.state.slices[D4].rows) == (before.state.slices[D2], 0)
    assert after.state.unknown == frozenset()
    assert after.hold is not None
    assert after.hold.reason.startswith("rolled back to version 1 of 2")
    assert f"in version {after.version}: 2 slices changed, {D1}, {D4}\n" in said
    assert f"to undo this: dataplatform rollback orders --to {before.version} --yes" in said


def test_a_dry_run_says_all_of_it_and_changes_nothing(project: Project) -> None:
    table = lake_table(project, "orders")
    before = table.open()
    said = rollback_text(project, table.contract, "1").splitlines()
    assert said[0].startswith("cleaned.orders would have the rows of version 1 of 2")
    assert said[0].endswith(f"by run run-first again: 2 slices changed, {D1}, {D4}; 5 rows now, 4 then")
    assert said[1:] == [
        f"left without rows: {D4}",
        (
            "it would be held until `dataplatform release orders`; stale after that, where rows change: "
            "dim_buyer, fact_orders, daily_orders"
        ),
    ]
    assert (table.open().version, table.open().hold) == (before.version, None)


def test_downstream_is_stale_exactly_where_the_rows_changed(project: Project, instance: dg.DagsterInstance) -> None:
    assert stale(project) == set()
    rolled_back(project, instance, "fact_orders", "1")
    assert stale(project) == {("daily_orders", D1), ("daily_orders", D3), ("daily_orders", D4)}
    shop.settle(project)
    assert days(project, "daily_orders") == {D1: 1, D2: 1, D3: 1}


def test_a_dimension_that_is_rolled_back_moves_exactly_the_facts_of_its_changed_members(
    project: Project, instance: dg.DagsterInstance
) -> None:
    """Buyer 7 had one key throughout, and has another from the third day on; buyer 9, of the fourth, was not there."""
    rolled_back(project, instance, "dim_buyer", "1")
    certain = {(s.table, s.partition) for s in make_plan(project).slices() if s.certain}
    assert certain == {("fact_orders", day) for day in (D3, D4)}


def test_a_released_table_is_made_again_and_all_is_as_if_nothing_had_been(
    project: Project, instance: dg.DagsterInstance
) -> None:
    tables = ("orders", "dim_buyer", "fact_orders", "daily_orders")
    before = {table: shop.rows(project, table) for table in tables}
    rolled_back(project, instance, "orders", "1")
    shop.settle(project)
    assert days(project, "daily_orders") == {D1: 1, D2: 1, D3: 1}, "downstream follows what is held"
    assert stale(project) == set()
    lake_table(project, "orders").end_hold()
    assert {name for name in stale(project) if name[0] == "orders"} == {("orders", D1), ("orders", D4)}
    shop.settle(project)
    assert {table: shop.rows(project, table) for table in tables} == before


def test_a_rollback_is_undone_by_another_and_the_planner_then_finds_nothing_to_do(
    project: Project, instance: dg.DagsterInstance
) -> None:
    """What the rows of then were made from is still recorded, and is what there is now: so they are not stale."""
    before = lake_table(project, "orders").open()
    rows = shop.rows(project, "orders")
    rolled_back(project, instance, "orders", "1")
    rolled_back(project, instance, "orders", str(before.version))
    assert shop.rows(project, "orders") == rows
    lake_table(project, "orders").end_hold()
    assert stale(project) == set()


def test_what_merged_records_no_longer_know_is_made_again_after_the_release(
    project: Project, instance: dg.DagsterInstance
) -> None:
    table = lake_table(project, "orders")
    state = read_state(table.folder)
    folder = table.folder / FOLDER
    _replace(folder, _names(folder), state)
    rolled_back(project, instance, "orders", "1")
    assert days(project, "orders") == {D1: 2, D2: 1, D3: 1}
    assert [name for name in stale(project) if name[0] == "orders"] == []
    table.end_hold()
    reasons = {s.partition: s.reason for s in make_plan(project).stale["orders"].values()}
    assert reasons == {D1: "rolled back", D4: "rolled back"}


def test_raw_rows_are_rolled_back_and_stay_when_their_file_is_gone(
    project: Project, instance: dg.DagsterInstance
) -> None:
    rolled_back(project, instance, "raw_shop_orders", "3")
    assert ("2", "4") in shop.rows(project, "raw_shop_orders", "order_id", "amount")
    assert {name for name in stale(project) if name[0] == "orders"} == {("orders", D1), ("orders", D4)}
    lake_table(project, "raw_shop_orders").end_hold()
    assert not {name for name in stale(project) if name[0] == "raw_shop_orders"}, "nothing that is missing erases"


def test_a_table_that_is_stored_in_one_piece_is_rolled_back_day_by_day(
    project: Project, instance: dg.DagsterInstance
) -> None:
    before = lake_table(project, "daily_orders").open()
    rolled_back(project, instance, "daily_orders", "1")
    assert days(project, "daily_orders") == {D1: 1, D2: 1, D3: 1}
    after = lake_table(project, "daily_orders").open().state.slices
    assert {day for day, entry in after.items() if entry != before.state.slices[day]} == {D1, D4}


def test_a_table_is_rolled_back_to_before_its_first_publication(project: Project, instance: dg.DagsterInstance) -> None:
    rolled_back(project, instance, "orders", "0")
    assert shop.rows(project, "orders") == []
    assert {entry.rows for entry in lake_table(project, "orders").open().state.slices.values()} == {0}


def test_rows_that_are_those_of_then_already_are_left_alone(project: Project, instance: dg.DagsterInstance) -> None:
    table = lake_table(project, "orders")
    before = table.open().version
    said = rolled_back(project, instance, "orders", str(before))
    assert "has the rows of version" in said
    assert "already; there is nothing to roll back. `dataplatform hold orders` keeps it as it is" in said
    assert (table.open().version, table.open().hold) == (before, None)


def test_a_crash_after_the_commit_is_mended_by_the_same_command(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rollbacks, "write_record", crash)
    with pytest.raises(KeyboardInterrupt):
        rolled_back(project, instance, "orders", "1")
    monkeypatch.undo()
    assert lake_table(project, "orders").open().state.unknown == {D1, D4}
    rolled_back(project, instance, "orders", "1")
    assert lake_table(project, "orders").open().state.unknown == frozenset()
    assert days(project, "orders") == {D1: 2, D2: 1, D3: 1}


def test_dagster_is_told_of_the_rows_and_of_the_hold(project: Project, instance: dg.DagsterInstance) -> None:
    reconcile_events(project, instance)
    rolled_back(project, instance, "orders", "1")
    key = dg.AssetKey(["cleaned", "orders"])
    event = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[D4]), limit=1).records[0]
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["dagster/partition_row_count"].value == 0
    observed = instance.fetch_observations(key, limit=1).records[0].event_log_entry.asset_observation
    assert observed is not None
    assert "rolled back to version 1" in str(observed.metadata["held"].value)
    assert reconcile_events(project, instance) == 0


# who wins


def test_a_rollback_that_was_overtaken_does_not_win(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first looks at its rows, a second one goes through; the first changes nothing."""
    publish = LakeTable.publish

    def overtaken(self: LakeTable, *arguments: Any, **options: Any) -> int:
        monkeypatch.setattr(LakeTable, "publish", publish)
        rolled_back(project, instance, "orders", "0")
        return publish(self, *arguments, **options)

    monkeypatch.setattr(LakeTable, "publish", overtaken)
    with pytest.raises(OvertakenError, match=r"cleaned\.orders .*: another run published it meanwhile"):
        rolled_back(project, instance, "orders", "1")
    assert shop.rows(project, "orders") == [], "the rows of the second"
    assert lake_table(project, "orders").open().state.unknown == frozenset()


def test_a_publication_that_lands_while_the_table_is_being_held_is_rolled_back_too(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = LakeTable.place_hold

    def late(self: LakeTable, hold: Any) -> None:
        contract = project.catalog.get("raw_shop_orders")
        shop.deliver(project, D2, [("3", "8", "FR", "77")])
        make_slices(project, project.catalog.get("orders"), [D2], run_id="late")
        assert contract.name == "raw_shop_orders"
        place(self, hold)

    monkeypatch.setattr(LakeTable, "place_hold", late)
    rolled_back(project, instance, "orders", "1")
    assert ("3", "2.000") in [(a, str(b)) for a, b in shop.rows(project, "orders", "order_id", "order_amount")]


# which version


def test_a_version_is_named_by_number_run_beginning_of_a_run_instant_or_day(project: Project) -> None:
    orders = project.catalog.get("orders")
    first = versions(lake_table(project, "orders"))[1]
    later = first.at + timedelta(microseconds=1)
    for wanted in ("1", "run-first", "run-fi", first.at.isoformat(), later.isoformat()):
        assert "the rows of version 1 of" in rollback_text(project, orders, wanted), wanted
    today = datetime.now(first.at.tzinfo).date().isoformat()
    assert "already; there is nothing to roll back" in rollback_text(project, orders, today), "as the day ended"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("99", r"cleaned\.orders has no version 99; its newest is 3$"),
        ("nobody", r"no version was published by run 'nobody'; `dataplatform history orders` lists them"),
        ("run-", r"no version was published by run 'run-'"),
        (
            "1999-12-31",
            r"has no version of 1999-12-31 or before; the oldest that its log names is version 0 of .*30 days",
        ),
        ("2011-01-01T03:00", r"2011-01-01T03:00 has no zone; write 2011-01-01T03:00Z for UTC"),
    ],
)
def test_a_version_that_there_is_not_is_refused_with_what_there_is(project: Project, wanted: str, message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        rollback_text(project, project.catalog.get("orders"), wanted)


def test_runs_that_begin_alike_are_not_guessed_between(project: Project, instance: dg.DagsterInstance) -> None:
    for to in ("1", "2"):
        rolled_back(project, instance, "orders", to)
    with pytest.raises(PermanentError, match="several runs begin with 'rollback-'; write more of it"):
        rollback_text(project, project.catalog.get("orders"), "rollback-")


def test_a_version_whose_files_were_vacuumed_away_is_refused_and_the_oldest_whole_one_is_named(
    project: Project,
) -> None:
    from deltalake import DeltaTable

    table = lake_table(project, "orders")
    DeltaTable(table.uri).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    message = r"1 of 3 files of version 1 were vacuumed away; the oldest version that is still whole is version 2 of"
    with pytest.raises(PermanentError, match=message):
        rollback_text(project, table.contract, "1")


def test_a_version_that_the_log_has_forgotten_is_refused(project: Project) -> None:
    from deltalake import DeltaTable

    table = lake_table(project, "orders")
    handle = DeltaTable(table.uri)
    handle.create_checkpoint()
    for number in range(handle.version()):
        (table.folder / "_delta_log" / f"{number:020d}.json").unlink()
    with pytest.raises(PermanentError, match="no longer has version 1; the oldest that its log names is version 3 of"):
        rollback_text(project, table.contract, "1")


def test_a_table_that_was_never_published_has_nothing_to_roll_back_to(tmp_path: Path) -> None:
    shop.shop_tables(tmp_path)
    empty = shop.load(tmp_path)
    with pytest.raises(PermanentError, match=r"cleaned\.orders has never been published; it has no version 1"):
        rollback_text(empty, empty.catalog.get("orders"), "1")


# contracts that changed since


def write(project: Project, path: str, old: str, new: str) -> None:
    file = project.settings.tables_dir / path
    assert old in file.read_text(encoding="utf-8")
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def edited(project: Project, path: str, old: str, new: str) -> Project:
    write(project, path, old, new)
    return shop.reload(project)


def test_rows_that_break_a_rule_of_today_are_refused_and_nothing_is_held(
    project: Project, instance: dg.DagsterInstance
) -> None:
    stricter = edited(project, "cleaned/orders.yaml", "minimum: 0", "minimum: 2")
    with pytest.raises(
        PermanentError,
        match=r"its rows of version 1 of .* do not keep today's contract: 2011-01-01: order_amount:minimum: .*"
        "put the contract back as it was then, or choose another version: `dataplatform history orders`",
    ):
        rolled_back(stricter, instance, "orders", "1")
    assert lake_table(stricter, "orders").open().hold is None


def test_rows_in_a_shape_that_the_contract_no_longer_has_are_refused(project: Project) -> None:
    changed = edited(project, "aggregate/daily_orders.yaml", "BIGINT", "INTEGER")
    with pytest.raises(
        PermanentError,
        match=r"aggregate\.daily_orders: at version 1 of .* it was stored in another shape than its .* now",
    ):
        rollback_text(changed, changed.catalog.get("daily_orders"), "1")


def test_a_nullable_column_that_came_since_is_null_in_the_rows_of_then(
    project: Project, instance: dg.DagsterInstance
) -> None:
    note = "- name: note\n    logicalType: string\n    physicalType: VARCHAR\n    description: A note.\n  "
    write(project, "aggregate/daily_orders.yaml", "- name: order_count\n", f"{note}- name: order_count\n")
    wider = edited(project, "aggregate/daily_orders.py", "order_count=", "note=ibis.literal('x'), order_count=")
    shop.settle(wider)
    rolled_back(wider, instance, "daily_orders", "1")
    assert {note for (note,) in shop.rows(wider, "daily_orders", "note")} == {None}


def test_a_rebuild_is_undone_once_the_contract_is_put_back(project: Project, instance: dg.DagsterInstance) -> None:
    """The table is stored as the newer contract says; its rows of before come back with the schema of before."""
    before = shop.rows(project, "daily_orders")
    version = lake_table(project, "daily_orders").open().version
    changed = edited(project, "aggregate/daily_orders.yaml", "BIGINT", "INTEGER")
    make_slices(changed, changed.catalog.get("daily_orders"), [D1, D2, D3, D4], run_id="rebuild", rewrite=True)
    back = edited(changed, "aggregate/daily_orders.yaml", "INTEGER", "BIGINT")
    assert set(make_plan(back).refused) == {"daily_orders"}
    assert "rows and schema would be replaced whole" in rollback_text(
        back, back.catalog.get("daily_orders"), str(version)
    )
    rolled_back(back, instance, "daily_orders", str(version))
    assert shop.rows(back, "daily_orders") == before
    lake_table(back, "daily_orders").end_hold()
    assert (stale(back), make_plan(back).refused) == (set(), {})
