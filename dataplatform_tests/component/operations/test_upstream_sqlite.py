"""What the platform's Dagster storages lean on, so that an upgrade that changes it fails here by name."""

from __future__ import annotations

import inspect
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage


def _counted(monkeypatch: pytest.MonkeyPatch, module: object) -> list[str]:
    made: list[str] = []

    def create_engine(url: str, **options: object) -> sa.Engine:
        made.append(url)
        return sa.create_engine(url, **options)

    monkeypatch.setattr(module, "create_engine", create_engine)
    return made


def test_upstream_builds_an_engine_for_every_statement_of_the_event_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, `PooledSqliteEventLogStorage` may have become needless."""
    storage = SqliteEventLogStorage(str(tmp_path))
    storage.get_maximum_record_id()
    made = _counted(monkeypatch, sqlite_event_log)
    storage.get_maximum_record_id()
    storage.get_maximum_record_id()
    assert len(made) == 2


def test_upstream_builds_an_engine_for_every_statement_about_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, `PooledSqliteRunStorage` may have become needless."""
    storage = SqliteRunStorage.from_local(str(tmp_path))
    made = _counted(monkeypatch, sqlite_run_storage)
    storage.get_runs_count()
    storage.get_runs_count()
    assert len(made) == 2


def test_upstream_reaches_every_shard_through_connect_and_its_lock() -> None:
    for method in (SqliteEventLogStorage.run_connection, SqliteEventLogStorage.index_connection):
        assert "return self._connect(" in inspect.getsource(method)
    source = inspect.getsource(SqliteEventLogStorage)
    for name in ("_db_lock", "_initialized_dbs", "_initdb", "path_for_shard", "conn_string_for_shard"):
        assert f"self.{name}" in source
    assert source.count("create_engine(") == 3  # the index's first use, has_table, and _connect


def test_upstream_asks_for_tables_and_columns_through_the_methods_that_remember() -> None:
    assert "self.has_table(" in inspect.getsource(SqliteEventLogStorage._store_asset_event_tags)
    assert "_has_asset_key_col_on_connection(" in inspect.getsource(
        SqliteEventLogStorage._has_asset_key_index_cols_on_connection
    )


def test_upstream_joins_a_transaction_that_is_open() -> None:
    assert "conn.in_transaction()" in inspect.getsource(SqliteEventLogStorage.index_transaction)


def test_upstream_batches_when_the_environment_says_so_and_falls_back_when_a_batch_fails() -> None:
    source = inspect.getsource(dg.DagsterInstance.handle_new_event)
    assert "store_event_batch(events)" in source
    assert "except Exception" in source
    assert "DAGSTER_EVENT_BATCH_SIZE" in inspect.getsource(dg.DagsterInstance._get_event_batch_size)


def test_upstream_does_not_take_a_hidden_file_for_a_run(tmp_path: Path) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    (tmp_path / ".template-1.0.db").touch()
    assert storage.get_all_run_ids() == []


def test_upstream_writes_ahead_so_that_readers_do_not_wait(tmp_path: Path) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    with storage.index_connection() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
