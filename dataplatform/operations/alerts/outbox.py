"""The outbox: which problems are open, since when, and who was told what. One SQLite file in the data folder.

Not a queue: it holds what each receiver was told of each problem, and what must be sent follows from comparing that
with what is wrong now (`dueness.py`). So a message that was sent but not yet marked when the process died is sent
again, nothing is sent twice otherwise, and the file stays as small as the number of open problems.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataplatform.operations.alerts.problem import Problem

FOLDER, FILE = "alerts", "alerts.db"
HOUR = 3600.0
_BUSY_SECONDS = 5.0
_TABLES = """
CREATE TABLE IF NOT EXISTS alerts (
    fingerprint TEXT PRIMARY KEY, source TEXT NOT NULL, problem TEXT NOT NULL, first_seen REAL NOT NULL,
    last_seen REAL NOT NULL, looks INTEGER NOT NULL, resolved_at REAL, silenced_until REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS partitions (
    fingerprint TEXT NOT NULL, partition TEXT NOT NULL, first_seen REAL NOT NULL,
    PRIMARY KEY (fingerprint, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tellings (
    fingerprint TEXT NOT NULL, receiver TEXT NOT NULL, told_at REAL, seen_until REAL, held_since REAL,
    PRIMARY KEY (fingerprint, receiver)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receivers (
    name TEXT PRIMARY KEY, failures INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '',
    failing_since REAL, not_before REAL NOT NULL DEFAULT 0, is_permanent INTEGER NOT NULL DEFAULT 0,
    succeeded_at REAL);
CREATE TABLE IF NOT EXISTS sent (receiver TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS looks (source TEXT PRIMARY KEY, at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Alert:
    """A problem as the outbox knows it. Times are seconds since 1970.

    `seen` holds, for each partition, since when it is part of the problem.
    """

    problem: Problem
    source: str
    seen: tuple[tuple[str, float], ...]
    first_seen: float
    last_seen: float
    looks: int
    resolved_at: float | None
    silenced_until: float

    def ripe(self, now: float) -> list[tuple[str, float]]:
        """Partitions that have been wrong for long enough to be told, with when they became so."""
        grace = self.problem.grace
        return [(partition, since + grace) for partition, since in self.seen if since + grace <= now]


@dataclass(frozen=True, slots=True)
class Telling:
    """What one receiver was told of one problem: when last, and up to which time what joined it is told."""

    told_at: float | None
    seen_until: float | None
    held_since: float | None


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """How a receiver has answered of late; `reason` is what was wrong the last time, or empty."""

    name: str
    failures: int = 0
    reason: str = ""
    failing_since: float | None = None
    not_before: float = 0.0
    is_permanent: bool = False
    succeeded_at: float | None = None


class Outbox:
    """The outbox of one data folder. Open it with `open_outbox`; one thread uses it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connection:  # commits, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    # what is wrong

    def observe(self, source: str, problems: Iterable[Problem], now: float) -> None:
        """Takes over everything that `source` finds wrong now; what it no longer finds is over."""
        found = {each.fingerprint: each for each in problems}
        with self._writing() as db:
            open_ = db.execute("SELECT fingerprint FROM alerts WHERE source = ? AND resolved_at IS NULL", (source,))
            gone = [name for (name,) in open_.fetchall() if name not in found]
            for fingerprint in gone:
                db.execute("UPDATE alerts SET resolved_at = ? WHERE fingerprint = ?", (now, fingerprint))
            for fingerprint, each in found.items():
                self._see(db, source, fingerprint, each, now)
            db.execute("INSERT OR REPLACE INTO looks VALUES (?, ?)", (source, now))
            _forget(db)

    def _see(self, db: sqlite3.Connection, source: str, fingerprint: str, found: Problem, now: float) -> None:
        # a problem that is over is kept only while somebody who was told of it must still hear so: for them it goes on
        db.execute(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, 1, NULL, 0) ON CONFLICT (fingerprint) DO UPDATE SET "
            "source = excluded.source, problem = excluded.problem, last_seen = excluded.last_seen, "
            "looks = looks + 1, resolved_at = NULL",
            (fingerprint, source, found.to_json(), now, now),
        )
        rows = db.execute("SELECT partition FROM partitions WHERE fingerprint = ?", (fingerprint,))
        before, after = {name for (name,) in rows.fetchall()}, set(found.partitions)
        db.executemany(
            "DELETE FROM partitions WHERE fingerprint = ? AND partition = ?",
            [(fingerprint, name) for name in before - after],
        )
        db.executemany("INSERT INTO partitions VALUES (?, ?, ?)", [(fingerprint, name, now) for name in after - before])

    def alerts(self) -> list[Alert]:
        """Every problem that is open, or is over and somebody must still hear so; errors first, then by time."""
        seen: dict[str, list[tuple[str, float]]] = {}
        for fingerprint, partition, since in self._connection.execute("SELECT * FROM partitions ORDER BY 1, 2"):
            seen.setdefault(fingerprint, []).append((partition, since))
        columns = "fingerprint, source, problem, first_seen, last_seen, looks, resolved_at, silenced_until"
        found = []
        for fingerprint, source, text, *times in self._connection.execute(f"SELECT {columns} FROM alerts"):
            parts = tuple(seen.get(fingerprint, ()))
            found.append(Alert(Problem.from_json(text, [name for name, _ in parts]), source, parts, *times))
        return sorted(found, key=lambda each: (each.problem.severity.value, each.first_seen, each.problem.title))

    def looked_at(self, source: str) -> float | None:
        """When `source` was last looked at."""
        row = self._connection.execute("SELECT at FROM looks WHERE source = ?", (source,)).fetchone()
        return None if row is None else float(row[0])

    def silence(self, fingerprint: str, until: float) -> bool:
        """Nothing is said of an open problem until then; whether there is such a problem."""
        with self._writing() as db:
            done = db.execute(
                "UPDATE alerts SET silenced_until = ? WHERE fingerprint = ? AND resolved_at IS NULL",
                (until, fingerprint),
            )
            return done.rowcount > 0

    # who was told

    def tellings(self) -> dict[tuple[str, str], Telling]:
        """(fingerprint, receiver) -> what was told."""
        rows = self._connection.execute("SELECT * FROM tellings")
        return {(fingerprint, receiver): Telling(*told) for fingerprint, receiver, *told in rows}

    def mark_told(self, receiver: str, told: Collection[tuple[str, bool]], seen_until: float, now: float) -> None:
        """The receiver has accepted one message about these problems: (fingerprint, whether it was told it is over)."""
        with self._writing() as db:
            for fingerprint, is_over in told:
                if is_over:
                    db.execute("DELETE FROM tellings WHERE fingerprint = ? AND receiver = ?", (fingerprint, receiver))
                else:
                    db.execute(
                        "INSERT OR REPLACE INTO tellings VALUES (?, ?, ?, ?, NULL)",
                        (fingerprint, receiver, now, seen_until),
                    )
            db.execute("INSERT INTO sent VALUES (?, ?)", (receiver, now))
            db.execute("DELETE FROM sent WHERE at <= ?", (now - HOUR,))

    def hold_back(self, receiver: str, fingerprints: Iterable[str], now: float) -> None:
        """The rate limit keeps these from the receiver; a summary will tell them."""
        with self._writing() as db:
            db.executemany(
                "INSERT INTO tellings VALUES (?, ?, NULL, NULL, ?) ON CONFLICT (fingerprint, receiver) "
                "DO UPDATE SET held_since = coalesce(held_since, excluded.held_since)",
                [(fingerprint, receiver, now) for fingerprint in fingerprints],
            )

    def sent_since(self, receiver: str, since: float) -> int:
        """How many messages the receiver has accepted since then."""
        row = self._connection.execute("SELECT count(*) FROM sent WHERE receiver = ? AND at > ?", (receiver, since))
        return int(row.fetchone()[0])

    # how receivers do

    def receivers(self) -> dict[str, ReceiverState]:
        """Every receiver that something was ever sent to."""
        columns = "name, failures, reason, failing_since, not_before, is_permanent, succeeded_at"
        return {row[0]: _state(row) for row in self._connection.execute(f"SELECT {columns} FROM receivers")}

    def note_success(self, receiver: str, reason: str, now: float) -> None:
        """It accepted a message; `reason` is what is wrong all the same."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO receivers (name, reason, succeeded_at) VALUES (?, ?, ?)",
                (receiver, reason, now),
            )

    def note_failure(self, receiver: str, reason: str, *, is_permanent: bool, not_before: float, now: float) -> None:
        """It did not accept a message, and is left alone until `not_before`."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO receivers (name, failures, reason, failing_since, not_before, is_permanent) "
                "VALUES (?, 1, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET failures = failures + 1, "
                "reason = excluded.reason, failing_since = coalesce(failing_since, excluded.failing_since), "
                "not_before = excluded.not_before, is_permanent = excluded.is_permanent",
                (receiver, reason, now, not_before, is_permanent),
            )

    def forget_receivers(self, known: Sequence[str]) -> None:
        """Drops what was kept of receivers that the setting no longer names."""
        marks = ", ".join("?" * len(known))
        with self._writing() as db:
            db.execute(f"DELETE FROM receivers WHERE name NOT IN ({marks})", known)
            db.execute(f"DELETE FROM tellings WHERE receiver NOT IN ({marks})", known)


def _state(row: Sequence[Any]) -> ReceiverState:
    name, failures, reason, failing_since, not_before, is_permanent, succeeded_at = row
    return ReceiverState(name, failures, reason, failing_since, not_before, bool(is_permanent), succeeded_at)


def _forget(db: sqlite3.Connection) -> None:
    """Problems that are over and that nobody has to be told so of; then what belongs to no problem."""
    known = "SELECT fingerprint FROM alerts"
    db.execute(
        "DELETE FROM alerts WHERE resolved_at IS NOT NULL AND fingerprint NOT IN (SELECT fingerprint FROM tellings)"
    )
    for table in ("partitions", "tellings"):
        db.execute(f"DELETE FROM {table} WHERE fingerprint NOT IN ({known})")


@contextmanager
def open_outbox(data_dir: Path) -> Iterator[Outbox]:
    """The data folder's outbox, made when there is none."""
    folder = data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.executescript(_TABLES)
        yield Outbox(connection)
    finally:
        connection.close()


@contextmanager
def read_outbox(data_dir: Path) -> Iterator[Outbox | None]:
    """The data folder's outbox to look into, without writing anything; None when there is none yet."""
    path = data_dir / FOLDER / FILE
    if not path.is_file():
        yield None
        return
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        yield Outbox(connection)
    finally:
        connection.close()
