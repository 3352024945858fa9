"""Dagster's SQLite event log on kept engines, and batches in one transaction. Named in `dagster.yaml`.

Upstream's `_connect` builds a new SQLAlchemy engine for every statement, and each event is a transaction in the
run's file and another in the index. Five assets of 374 partitions in one run cost 21 CPU seconds of bookkeeping
like that, and 3 with this class. What it leans on is pinned by `test_upstream_sqlite`.
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

from dataplatform.operations.sqlite import pooled_engine

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData

BATCH_SIZE = 500
"""Events per transaction, where Dagster offers them together: the partitions of one output, the plan of one run."""

MOST_OPEN = 8
"""Run files kept open at most: a web server that shows a thousand runs must not hold a thousand files."""


class _Held(threading.local):
    """The connections of the batch that this thread is storing, by shard."""

    def __init__(self) -> None:
        self.connections: dict[str, sa.Connection] = {}


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """One file per run ("shard") and one index, as upstream; each opened once and kept, the latest few of them."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, tuple[sa.Engine, int]] = {}
        self._held = _Held()
        self._seen: set[str] = set()
        # also at exit: the last connection to close folds a file's write-ahead log into it
        weakref.finalize(self, _close, self._engines)
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> PooledSqliteEventLogStorage:
        """`base_dir` is the instance's folder. Tells Dagster to hand over batches: it asks the environment alone."""
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(BATCH_SIZE))
        return cls(str(Path(config_value["base_dir"], "history", "runs")), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """All events or none, each file in one transaction; Dagster stores them singly when this raises."""
        with self._db_lock, ExitStack() as stack:
            stack.callback(self._held.connections.clear)
            for shard in dict.fromkeys([INDEX_SHARD_NAME, *(event.run_id for event in events)]):
                self._held.connections[shard] = stack.enter_context(self._engine(shard).begin())
            for event in events:
                self.store_event(event)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        held = self._held.connections.get(shard)
        if held is not None:
            yield held
            return
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> sa.Engine:
        """The shard's engine; made anew when its file is another one than before, as after a restore."""
        path = Path(self.path_for_shard(shard))
        engine, inode = self._engines.pop(shard, (None, 0))
        if engine is not None and inode != _inode(path):
            engine.dispose()
            engine = None
            self._initialized_dbs.discard(shard)
        if engine is None:
            engine = self._open(shard, path)
        self._engines[shard] = (engine, _inode(path))
        while len(self._engines) > MOST_OPEN:
            self._engines.pop(next(iter(self._engines)))[0].dispose()
        return engine

    def _open(self, shard: str, path: Path) -> sa.Engine:
        if not path.exists():
            self._copy_template(path)
            self._initialized_dbs.add(shard)
        engine = pooled_engine(self.conn_string_for_shard(shard))
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _copy_template(self, path: Path) -> None:
        """Makes an empty shard. Running its migrations costs 45 ms of every run; a copy of the result costs none."""
        template = path.with_name(f".template-{dagster.__version__}.db")
        if not template.exists():
            name = f".{uuid4().hex}"
            engine = pooled_engine(self.conn_string_for_shard(name))
            self._initdb(engine)
            engine.dispose()  # the last connection to close moves the write-ahead log into the file
            Path(self.path_for_shard(name)).replace(template)
        copy = path.with_name(f".{uuid4().hex}.db")
        shutil.copyfile(template, copy)
        try:
            path.hardlink_to(copy)
        except FileExistsError:
            pass  # another process was first, with an equal one
        finally:
            copy.unlink()

    def forget_run(self, run_id: str) -> None:
        """Removes the file of a run's events; what it says of assets stands in the index, too, and stays there."""
        path = Path(self.path_for_shard(run_id))
        with self._db_lock:
            engine, _ = self._engines.pop(run_id, (None, 0))
            if engine is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                file.unlink(missing_ok=True)

    def has_table(self, table_name: str) -> bool:
        """Asked for every event that has tags; a table that was there once stays."""
        if table_name not in self._seen and super().has_table(table_name):
            self._seen.add(table_name)
        return table_name in self._seen

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        """Asked for every event of an asset; a column that was there once stays."""
        if column_name not in self._seen and super()._has_asset_key_col_on_connection(conn, column_name):
            self._seen.add(column_name)
        return column_name in self._seen

    def dispose(self) -> None:
        _close(self._engines)
        super().dispose()


def _close(engines: dict[str, tuple[sa.Engine, int]]) -> None:
    while engines:
        engines.popitem()[1][0].dispose()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
