"""Dagster's records past their retention go, and what Dagster says of every table stays exactly as it was."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.operations.event_log import PooledSqliteEventLogStorage
from dataplatform.operations.instance import open_instance
from dataplatform.operations.prune import _shrink, prune_instance
from dataplatform.settings import Settings, utc_now
from dataplatform_tests.ageing import contents

DAYS = dg.DailyPartitionsDefinition("2011-01-01", end_date="2011-01-06")
KEYS = DAYS.get_partition_keys()
DAILY, WHOLE = dg.AssetKey(["cleaned", "orders"]), dg.AssetKey(["dimensional", "dim_buyer"])
LATER = timedelta(days=40)


@dg.asset(
    key=DAILY,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("rows", asset=DAILY)],
)
def _daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    print("made", context.partition_keys)  # noqa: T201 - what a run prints is kept in a file
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": len(key)}, partition_key=key)
    return dg.MaterializeResult(data_version=dg.DataVersion("7"), check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset(key=WHOLE)
def _whole() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.asset(key=["cleaned", "broken"])
def _broken() -> None:
    raise dg.Failure("on purpose")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(Settings.load(data_dir=tmp_path)) as opened:
        yield opened


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, first: str = "", last: str = "") -> str:
    """One run of an asset; its id."""
    ranged = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
    result = dg.materialize([asset], instance=instance, tags=ranged if first else {}, raise_on_error=False)
    return result.run_id


def what_dagster_says(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Of every asset: its latest materialization and planned run by partition, its checks, and which are there."""
    said: dict[str, Any] = {}
    for key in instance.all_asset_keys():
        for partition in [None, *KEYS]:
            wanted = dg.AssetRecordsFilter(key, asset_partitions=None if partition is None else [partition])
            said[f"{key} {partition}"] = [
                (record.storage_id, record.timestamp, record.run_id, record.asset_materialization)
                for record in instance.fetch_materializations(wanted, limit=1).records
            ]
        said[f"{key} partitions"] = instance.get_materialized_partitions(key)
        said[f"{key} tags"] = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        said[f"{key} attempts"] = (
            instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        )
    check = dg.AssetCheckKey(DAILY, "rows")
    said["check"] = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    return said


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def prune(instance: dg.DagsterInstance, *, dry_run: bool = False) -> Any:
    return prune_instance(instance, utc_now() + timedelta(seconds=5), dry_run=dry_run)


def test_the_latest_state_of_every_partition_and_check_survives_to_the_event(instance: dg.DagsterInstance) -> None:
    """Pain 17: the event log shrinks, and asset events are kept."""
    run(instance, _daily, KEYS[0], KEYS[-1])
    run(instance, _daily, KEYS[1], KEYS[2])
    run(instance, _daily, KEYS[1])
    for _ in range(3):
        run(instance, _whole)
    run(instance, _broken)
    before, runs = what_dagster_says(instance), run_ids(instance)
    pruned = prune(instance)
    assert what_dagster_says(instance) == before
    assert (pruned.deleted, pruned.shortened) == (2, 5)
    assert len(run_ids(instance)) == len(runs) - 2


def test_a_run_that_nothing_needs_leaves_no_trace(instance: dg.DagsterInstance) -> None:
    """Pain 17: what is past its retention goes."""
    superseded = run(instance, _daily, KEYS[0])
    run(instance, _daily, KEYS[0])
    prune(instance)
    home = Path(instance.root_directory)
    assert [name for name in contents(home) if superseded in name] == []
    for file in ("history/runs/index.db", "history/runs.db"):
        with closing(sqlite3.connect(home / file)) as database:
            assert [line for line in database.iterdump() if superseded in line] == []


def test_a_run_that_is_needed_loses_its_log_and_keeps_its_row_and_tags(instance: dg.DagsterInstance) -> None:
    needed = run(instance, _daily, KEYS[0])
    home, log = Path(instance.root_directory), instance.event_log_storage
    assert isinstance(log, PooledSqliteEventLogStorage)
    assert (home / "storage" / needed).is_dir()
    prune(instance)
    assert not Path(log.path_for_shard(needed)).exists()
    assert not (home / "storage" / needed).exists()
    kept = instance.get_run_by_id(needed)
    assert kept is not None
    assert (kept.status, kept.tags["dagster/asset_partition_range_start"]) == (dg.DagsterRunStatus.SUCCESS, KEYS[0])
    assert prune(instance).shortened == 0
    assert log.get_logs_for_run(needed) == []  # as the UI asks: the page is empty, and not an error


def test_what_is_not_past_its_retention_and_runs_at_work_are_left_alone(instance: dg.DagsterInstance) -> None:
    run(instance, _whole)
    run(instance, _whole)
    at_work = dg.DagsterRun(job_name="at work", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(at_work)
    assert prune_instance(instance, utc_now() - timedelta(days=1), dry_run=False).deleted == 0
    assert prune(instance).deleted == 1
    assert at_work.run_id in run_ids(instance)


def test_a_dry_run_counts_and_removes_nothing(instance: dg.DagsterInstance) -> None:
    run(instance, _whole)
    run(instance, _whole)
    before = run_ids(instance)
    pruned = prune(instance, dry_run=True)
    assert (pruned.deleted, pruned.shortened) == (1, 1)
    assert run_ids(instance) == before
    assert len(instance.all_logs(min(before))) > 0


def test_the_room_is_given_back(instance: dg.DagsterInstance) -> None:
    for _ in range(12):
        run(instance, _daily, KEYS[0], KEYS[-1])
    instance.event_log_storage.dispose()
    pruned = prune(instance)
    assert pruned.notes == ()
    assert pruned.size_after < pruned.size / 3


def test_a_file_that_is_in_use_is_rewritten_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplatform.operations.prune._BUSY_SECONDS", 0.1)
    file = tmp_path / "index.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t AS SELECT randomblob(500000) AS x")
        writer.execute("DELETE FROM t")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = file.stat().st_size
        writer.execute("BEGIN IMMEDIATE")
        assert _shrink(file) == "index.db is in use (database is locked); its room is given back next time"
        writer.execute("COMMIT")
        assert _shrink(file) == ""
    assert file.stat().st_size < size / 10


def test_ticks_go_but_for_the_latest(instance: dg.DagsterInstance) -> None:
    """Without its latest tick a schedule believes that it has never run, and makes up for it."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        InstigatorType,
        ScheduleInstigatorData,
        TickData,
        TickStatus,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="nowhere"), location_name="nowhere")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), "nightly")
    data = ScheduleInstigatorData("0 3 * * *")
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
    instance.add_instigator_state(state)
    for days in (90, 60, 50):
        at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        instance.create_tick(
            TickData(state.instigator_origin_id, "nightly", InstigatorType.SCHEDULE, TickStatus.SKIPPED, at,
                     selector_id=state.selector_id)
        )  # fmt: skip
    before = utc_now() - timedelta(days=30)
    assert prune_instance(instance, before, dry_run=True).ticks == 2
    assert prune_instance(instance, before, dry_run=False).ticks == 2
    (left,) = instance.get_ticks(state.instigator_origin_id, state.selector_id)
    assert datetime.fromtimestamp(left.timestamp, UTC) > utc_now() - timedelta(days=51)


def test_a_storage_that_is_not_the_platforms_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run(instance, _whole)
        run(instance, _whole)
        pruned = prune_instance(instance, utc_now() + LATER, dry_run=False)
        assert (pruned.deleted, pruned.notes) == (0, ("the event log is not the platform's; it is left alone",))
        assert len(run_ids(instance)) == 2
