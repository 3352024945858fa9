"""Errors of all kinds are permanent or transient, and say which by their type."""

from __future__ import annotations

import errno
import sqlite3
from datetime import UTC, datetime

import duckdb
import pytest
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from dataplatform.errors import (
    ContractError,
    DiskFullError,
    OvertakenError,
    PermanentError,
    PlatformError,
    SourceDownError,
    TransientError,
    UnexpectedError,
    classified,
)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EMFILE, "Too many open files"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        ConnectionError("the peer hung up"),
        TimeoutError("timed out"),
        MemoryError("cannot allocate"),
        CommitFailedError("a concurrent transaction"),
        OSError("Generic LocalFileSystem error: Unable to open file: Too many open files (os error 24)"),
        sqlite3.OperationalError("database is locked"),
        duckdb.IOException("IO Error: Could not set lock on file"),
    ],
)
def test_these_may_go_away_by_themselves(error: Exception) -> None:
    known = classified(error)
    assert type(known) is TransientError
    assert str(known) == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        KeyError("amount"),
        ZeroDivisionError("division by zero"),
        TableNotFoundError("no log files"),
        DeltaError("invalid schema"),
        duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate"),
        sqlite3.OperationalError("no such table: runs"),
    ],
)
def test_these_would_come_again(error: Exception) -> None:
    known = classified(error)
    assert type(known) is UnexpectedError
    assert isinstance(known, PermanentError)
    assert str(known) == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"),
        DeltaError("Failed to write: No space left on device"),
        duckdb.IOException("IO Error: Could not write file: No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_known_by_whoever_says_it_and_is_not_tried_again(error: Exception) -> None:
    known = classified(error)
    assert type(known) is DiskFullError
    assert str(known).endswith("; free space below the data folder and run again: nothing published is lost")


@pytest.mark.parametrize("error", [ContractError(["x.yaml: wrong"]), OvertakenError("overtaken"), TransientError("x")])
def test_an_error_of_the_platform_stays_what_it_is(error: PlatformError) -> None:
    assert classified(error) is error


def test_what_was_tried_where_it_arose_is_not_tried_by_the_step_too() -> None:
    now = datetime(2011, 1, 5, 12, 0, 3, tzinfo=UTC)
    assert SourceDownError("the landing", "connection refused", now, now).tried_enough
    assert OvertakenError("another run published it").tried_enough
    assert not TransientError("the peer hung up").tried_enough


def test_a_source_that_is_down_says_since_when_why_and_when_it_is_asked_next() -> None:
    since, again = datetime(2011, 1, 5, 12, 0, 3, tzinfo=UTC), datetime(2011, 1, 5, 12, 1, 3, tzinfo=UTC)
    assert str(SourceDownError("the landing s3://b/l", "connection refused", since, again)) == (
        "the landing s3://b/l is down since 2011-01-05 12:00:03 UTC (connection refused); "
        "it is asked again from 12:01:03 UTC"
    )
