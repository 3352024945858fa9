"""Dagster's SQLite run storage on one kept engine. Named in `dagster.yaml`; nothing else refers to it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage

from dataplatform.operations.sqlite import pooled_engine

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dagster._serdes import ConfigurableClassData


class PooledSqliteRunStorage(SqliteRunStorage):
    """Leans on upstream's `connect` being the only way to the file; `test_upstream_sqlite` pins that."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> PooledSqliteRunStorage:
        """`base_dir` is the instance's folder."""
        return cls.from_local(str(Path(config_value["base_dir"], "history")), inst_data)

    @cached_property
    def _engine(self) -> sa.Engine:
        engine = pooled_engine(self._conn_string)
        weakref.finalize(self, engine.dispose)
        return engine

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self._engine.dispose()
        super().dispose()
