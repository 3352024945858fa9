"""The SQLAlchemy engine that the platform's Dagster storages share: one per SQLite file, kept open.

Dagster's own storages build an engine, open the file and close it again for every statement.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS


def pooled_engine(conn_string: str) -> sa.Engine:
    """An engine that keeps its connections; each is used by one thread at a time. The caller disposes of it.

    `synchronous = NORMAL`: in WAL mode a killed process loses nothing and a power cut at most the last events, which
    the next run repairs, because the lake decides what is stale. It saves one fsync per commit.
    """
    engine = sa.create_engine(conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
