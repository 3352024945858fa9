"""The platform's own tables: a slice replaces its own quarantine, and processes that write at once lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from dataplatform.errors import OvertakenError
from dataplatform.lake import platform_tables
from dataplatform.lake.platform_tables import QUALITY, PlatformTables

DAYS = ["2011-01-01", "2011-01-02", "2011-01-03", "2011-01-04"]


def held(day: str, rows: int = 1, status: str = "quarantined") -> pa.Table:
    return pa.table({"line": list(range(rows)), "_status": [status] * rows, "_partition": [day] * rows})


def all_at_once(work: Callable[[int], None], workers: int = 4) -> None:
    """Runs `work` in threads that start together; their errors are raised here."""
    barrier = Barrier(workers)

    def start(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(start, range(workers)))


@pytest.fixture
def tables(tmp_path: Path) -> PlatformTables:
    return PlatformTables(tmp_path)


def test_a_slice_replaces_its_own_quarantine_and_no_others(tables: PlatformTables) -> None:
    tables.replace_quarantine("orders", held(DAYS[0], 2), [DAYS[0]])
    tables.replace_quarantine("orders", held(DAYS[1], 3), [DAYS[1]])
    tables.replace_quarantine("orders", held(DAYS[0], 1), [DAYS[0]])
    assert tables.quarantined_counts("orders") == {DAYS[0]: 1, DAYS[1]: 3}


def test_a_slice_without_bad_rows_empties_its_quarantine(tables: PlatformTables) -> None:
    tables.replace_quarantine("orders", None, [DAYS[0]])
    assert tables.readable() == {}, "no table is made for nothing"
    for day in DAYS[:2]:
        tables.replace_quarantine("orders", held(day), [day])
    tables.replace_quarantine("orders", None, [DAYS[0], DAYS[2]])
    assert tables.quarantined_counts("orders") == {DAYS[1]: 1}


def test_rows_are_counted_by_partition_and_status(tables: PlatformTables) -> None:
    tables.replace_quarantine("orders", held(DAYS[0], 2), [DAYS[0]])
    tables.replace_quarantine("orders", held(DAYS[1], 3, "blocked"), [DAYS[1]])
    assert tables.held("orders") == {(DAYS[0], "quarantined"): 2, (DAYS[1], "blocked"): 3}


@pytest.fixture(params=range(5))
def again(request: pytest.FixtureRequest) -> int:
    """A race is won or lost by chance: it is run a few times."""
    return int(request.param)


def test_the_first_rows_of_several_processes_all_stay(tables: PlatformTables, again: int) -> None:
    all_at_once(lambda number: tables.append(QUALITY, "anomalies", pa.table({"worker": [number], "round": [again]})))
    (uri,) = tables.readable().values()
    found = DeltaTable(str(uri)).to_pyarrow_dataset().to_table().sort_by("worker")
    assert found["worker"].to_pylist() == [0, 1, 2, 3]


def test_the_first_quarantine_of_several_slices_all_stay(tables: PlatformTables, again: int) -> None:
    all_at_once(lambda number: tables.replace_quarantine("orders", held(DAYS[number], again + 1), [DAYS[number]]))
    assert tables.quarantined_counts("orders") == dict.fromkeys(DAYS, again + 1)


def test_two_runs_of_one_slice_leave_the_quarantine_of_one(tables: PlatformTables, again: int) -> None:
    tables.replace_quarantine("orders", held(DAYS[0], again + 9), [DAYS[0]])
    all_at_once(lambda _: tables.replace_quarantine("orders", held(DAYS[0], 2), [DAYS[0]]))
    assert tables.quarantined_counts("orders") == {DAYS[0]: 2}


@pytest.fixture
def always_overtaken(monkeypatch: pytest.MonkeyPatch) -> Sequence[int]:
    attempts: list[int] = []

    def write(*_: object, **__: object) -> None:
        attempts.append(1)
        raise CommitFailedError("another commit came in between")

    monkeypatch.setattr("deltalake.write_deltalake", write)
    return attempts


def test_who_is_always_overtaken_gives_up_with_an_error_that_may_be_retried(
    tables: PlatformTables, always_overtaken: Sequence[int]
) -> None:
    with pytest.raises(OvertakenError, match="anomalies/: other processes keep writing it; run this again"):
        tables.append(QUALITY, "anomalies", pa.table({"worker": [1]}))
    assert len(always_overtaken) == platform_tables._ATTEMPTS
