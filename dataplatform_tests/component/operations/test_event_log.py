"""Dagster's event log on kept engines: the same log as upstream's, for less, and right with threads and processes."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from dataplatform.operations.event_log import MOST_OPEN, PooledSqliteEventLogStorage
from dataplatform.operations.instance import open_instance
from dataplatform.settings import CHECKOUT, Settings

DAYS = dg.DailyPartitionsDefinition("2011-01-01", end_date="2011-03-02")
KEYS = DAYS.get_partition_keys()
ASSET = dg.AssetKey(["cleaned", "orders"])


@dg.asset(
    key=ASSET,
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("rows", asset=ASSET)],
)
def _orders(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    for key in context.partition_keys:
        context.add_asset_metadata({"rows": len(key)}, partition_key=key)
    return dg.MaterializeResult(data_version=dg.DataVersion("7"), check_results=[dg.AssetCheckResult(passed=True)])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(Settings.load(data_dir=tmp_path)) as opened:
        yield opened


def _log(instance: dg.DagsterInstance) -> PooledSqliteEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, PooledSqliteEventLogStorage)
    return storage


def _run(instance: dg.DagsterInstance, keys: Sequence[str] = KEYS) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return dg.materialize([_orders], instance=instance, tags=tags)


def _events(instance: dg.DagsterInstance, run_id: str) -> Counter[str]:
    records = instance.get_records_for_run(run_id).records
    events = [record.event_log_entry.dagster_event for record in records]
    return Counter(event.event_type_value for event in events if event is not None)


def _materialization(run_id: str, partition: str) -> dg.EventLogEntry:
    from dagster._core.events import DagsterEvent, StepMaterializationData

    data = StepMaterializationData(dg.AssetMaterialization(ASSET, partition=partition))
    event = DagsterEvent("ASSET_MATERIALIZATION", "job", event_specific_data=data)
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None, level=10, user_message="", run_id=run_id, timestamp=1.0, dagster_event=event
    )


def test_the_log_holds_what_upstreams_log_would(instance: dg.DagsterInstance) -> None:
    with dg.DagsterInstance.ephemeral() as upstream:
        theirs = _events(upstream, _run(upstream).run_id)
    assert _events(instance, _run(instance).run_id) == theirs
    assert instance.get_materialized_partitions(ASSET) == set(KEYS)
    [record] = instance.fetch_materializations(
        dg.AssetRecordsFilter(ASSET, asset_partitions=[KEYS[3]]), limit=9
    ).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["rows"].value == len(KEYS[3])
    assert record.asset_materialization.tags is not None
    assert record.asset_materialization.tags["dagster/data_version"] == "7"


@contextmanager
def _commits() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: sa.Connection) -> None:
        seen.append(str(connection.engine.url))

    sa.event.listen(sa.Engine, "commit", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "commit", note)


def test_a_run_of_many_partitions_commits_no_more_often_than_a_run_of_two(instance: dg.DagsterInstance) -> None:
    """Pain 15: the bookkeeping of a step does not grow with its partitions."""
    with _commits() as few:
        _run(instance, KEYS[:2])
    with _commits() as many:
        _run(instance)
    assert len(many) <= len(few)


def test_a_batch_that_fails_is_stored_event_by_event_and_none_twice(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, batches = PooledSqliteEventLogStorage.store_event, []

    def fails_in_the_middle(self: PooledSqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        store(self, event)
        if self._held.connections and event.dagster_event is not None and event.dagster_event.partition == KEYS[5]:
            batches.append(event)
            raise OSError("disk full")

    monkeypatch.setattr(PooledSqliteEventLogStorage, "store_event", fails_in_the_middle)
    events = _events(instance, _run(instance).run_id)
    assert len(batches) == 2  # the plan of the run, and the partitions of its output
    assert events["ASSET_MATERIALIZATION"] == events["ASSET_MATERIALIZATION_PLANNED"] == len(KEYS)
    assert "disk full" in capsys.readouterr().err


def test_threads_share_the_log_without_losing_an_event(instance: dg.DagsterInstance) -> None:
    log = _log(instance)

    def write(run_id: str) -> None:
        for day in KEYS[:25]:
            log.store_event(_materialization(run_id, day))
        log.store_event_batch([_materialization(run_id, day) for day in KEYS[25:50]])

    threads = [threading.Thread(target=write, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(log.get_logs_for_run(f"run-{number}")) for number in range(4)] == [50] * 4
    assert len(instance.fetch_materializations(ASSET, limit=1000).records) == 200


def test_processes_share_the_log_without_losing_an_event(instance: dg.DagsterInstance) -> None:
    """Pain 20: processes that write at once neither lock each other out nor lose anything."""
    code = "\n".join(
        [
            "import sys",
            "from dataplatform.operations.instance import open_instance",
            "from dataplatform.settings import Settings",
            "from dataplatform_tests.component.operations.test_event_log import KEYS, _materialization",
            "sys.stdin.read()",
            f"with open_instance(Settings.load(data_dir={str(Path(instance.root_directory).parent)!r})) as instance:",
            "    for key in KEYS:",
            "        instance.event_log_storage.store_event_batch([_materialization(sys.argv[1], key)] * 2)",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, name], stdin=subprocess.PIPE, env=environment) for name in "ab"
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert len(instance.fetch_materializations(ASSET, limit=1000).records) == 2 * 2 * len(KEYS)


def test_a_reader_sees_what_another_opener_wrote_meanwhile(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert instance.get_materialized_partitions(ASSET) == set()
    with open_instance(Settings.load(data_dir=tmp_path)) as other:
        _log(other).store_event(_materialization("one", KEYS[0]))
    assert instance.get_materialized_partitions(ASSET) == {KEYS[0]}


def test_an_index_that_was_restored_is_read_and_not_the_one_that_was_open(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    index = Path(_log(instance).path_for_shard("index"))
    backup = tmp_path / "backup"
    with open_instance(Settings.load(data_dir=backup)) as other:
        _log(other).store_event(_materialization("before", KEYS[0]))
        kept = Path(_log(other).path_for_shard("index"))
    _log(instance).store_event(_materialization("after", KEYS[1]))
    for leftover in index.parent.glob("index.db*"):
        leftover.unlink()
    shutil.copy(kept, index)
    assert instance.get_materialized_partitions(ASSET) == {KEYS[0]}


def test_many_runs_do_not_keep_many_files_open(instance: dg.DagsterInstance) -> None:
    log = _log(instance)
    for number in range(3 * MOST_OPEN):
        log.store_event(_materialization(f"run-{number}", KEYS[0]))
    assert len(log._engines) == MOST_OPEN
    assert len(log.get_logs_for_run("run-0")) == 1


def test_a_closed_log_leaves_nothing_beside_its_files(tmp_path: Path) -> None:
    with open_instance(Settings.load(data_dir=tmp_path)) as instance:
        _run(instance, KEYS[:2])
    assert [path.name for path in tmp_path.rglob("*.db-*")] == []


def test_files_that_are_no_runs_are_not_taken_for_runs(instance: dg.DagsterInstance) -> None:
    _log(instance).store_event(_materialization("one", KEYS[0]))
    assert list(_log(instance).get_all_run_ids()) == ["one"]
