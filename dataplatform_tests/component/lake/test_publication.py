"""One commit per publication, inside its slice; an overtaken run cannot win; time travel."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pytest

from dataplatform.contracts.model import Contract, Grain
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import OvertakenError, PermanentError
from dataplatform.lake.predicates import predicate
from dataplatform.lake.table import Lake, LakeTable, Opened
from dataplatform.lake.versions import find_version
from dataplatform_tests.by_hand import contract

KEYS = [(date(2011, 1, 1) + timedelta(days=n)).isoformat() for n in range(31)]


@pytest.fixture(params=["partitioned", "none"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> LakeTable:
    return Lake(tmp_path).table(contract(physical=request.param))


def rows(days: Sequence[str], label: str = "a", of: Contract | None = None) -> pa.RecordBatchReader:
    schema = arrow_schema(of or contract())
    values = [{"business_date": date.fromisoformat(d), "amount": Decimal("1.500"), "label": label} for d in days]
    return pa.Table.from_pylist(values, schema=schema).to_reader()


def publish(table: LakeTable, days: Sequence[str], label: str = "a", opened: Opened | None = None) -> int:
    return table.publish(opened or table.open_to_publish(), rows(days, label), days, run_id=f"run-{label}", keys=KEYS)


def content(table: LakeTable) -> list[tuple[str, str]]:
    found = table.open().dataset().to_table().to_pylist()
    return sorted((row["business_date"].isoformat(), row["label"]) for row in found)


def test_a_slice_published_again_replaces_itself_and_nothing_else(table: LakeTable) -> None:
    """Pain 4: rows that come again replace theirs and are not doubled."""
    for days, label in (([KEYS[0]], "a"), ([KEYS[1]], "b"), ([KEYS[0]], "c")):
        publish(table, days, label)
    assert content(table) == [(KEYS[0], "c"), (KEYS[1], "b")]


def test_a_range_is_one_commit(table: LakeTable) -> None:
    """Pain 2: the old rows leave and the new ones come in one commit."""
    before = table.open_to_publish().version
    publish(table, KEYS[:10])
    assert table.open().version == before + 1
    assert len(content(table)) == 10


def test_an_empty_slice_is_a_valid_result_also_on_the_first_write(table: LakeTable) -> None:
    opened = table.open_to_publish()
    table.publish(opened, rows([]), [KEYS[0]], run_id="run", keys=KEYS)
    assert content(table) == []
    publish(table, KEYS[:2])
    table.publish(table.open(), rows([]), [KEYS[0]], run_id="run", keys=KEYS)
    assert content(table) == [(KEYS[1], "a")]


def test_a_row_outside_the_slice_is_refused_and_nothing_changes(table: LakeTable) -> None:
    publish(table, [KEYS[0]])
    with pytest.raises(PermanentError, match="rows outside the published slice"):
        table.publish(table.open(), rows([KEYS[1]]), [KEYS[0]], run_id="run", keys=KEYS)
    assert content(table) == [(KEYS[0], "a")]


def test_partitions_between_that_are_not_meant_stay(table: LakeTable) -> None:
    publish(table, KEYS[:4], "old")
    publish(table, [KEYS[0], KEYS[1], KEYS[3]], "new")
    assert content(table) == [(KEYS[0], "new"), (KEYS[1], "new"), (KEYS[2], "old"), (KEYS[3], "new")]


def test_an_overtaken_run_cannot_win(table: LakeTable) -> None:
    publish(table, [KEYS[0]], "first")
    slow = table.open()
    publish(table, [KEYS[0]], "corrected")
    with pytest.raises(OvertakenError, match="another run published it meanwhile"):
        publish(table, [KEYS[0]], "late", slow)
    assert content(table) == [(KEYS[0], "corrected")]


def test_an_overtaken_first_publication_cannot_win(table: LakeTable) -> None:
    slow = table.open_to_publish()
    publish(table, [KEYS[0]], "corrected")
    with pytest.raises(OvertakenError):
        publish(table, [KEYS[0]], "late", slow)
    assert content(table) == [(KEYS[0], "corrected")]


def test_an_overtaken_whole_table_cannot_win(tmp_path: Path) -> None:
    whole = contract("dim", grain=Grain.NONE, partition_column=None, physical="none")
    table = Lake(tmp_path).table(whole)
    slow = table.open_to_publish()
    table.publish(table.open(), rows([KEYS[0]], "corrected", whole), ["all"], run_id="r1")
    with pytest.raises(OvertakenError):
        table.publish(slow, rows([KEYS[0]], "late", whole), ["all"], run_id="r2")
    assert content(table) == [(KEYS[0], "corrected")]


def test_runs_of_different_slices_do_not_disturb_each_other(tmp_path: Path) -> None:
    table = Lake(tmp_path).table(contract())
    first, second = table.open_to_publish(), table.open_to_publish()
    publish(table, [KEYS[0]], "a", first)
    publish(table, [KEYS[1]], "b", second)
    assert content(table) == [(KEYS[0], "a"), (KEYS[1], "b")]


def _publish_days(root: Path, days: list[str]) -> int:
    table = Lake(root).table(contract())
    for day in days:
        publish(table, [day], day)
    return len(days)


def test_four_processes_on_disjoint_slices_lose_nothing(tmp_path: Path) -> None:
    """Pain 1: no lock on the lake, so writers at once do not fail for one."""
    Lake(tmp_path).table(contract()).open_to_publish()
    shares = [KEYS[n::4][:5] for n in range(4)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert sum(pool.map(_publish_days, [tmp_path] * 4, shares)) == 20
    expected = sorted((day, day) for share in shares for day in share)
    assert content(Lake(tmp_path).table(contract())) == expected


def test_each_version_names_its_run_and_can_be_read_again(table: LakeTable) -> None:
    first = publish(table, [KEYS[0]], "a")
    publish(table, [KEYS[0]], "b")
    assert find_version(table, "run-a", "UTC").number == first
    then = table.open(first).dataset().to_table()["label"].to_pylist()
    assert then == ["a"]
    with pytest.raises(PermanentError, match="no version was published by run 'nobody'"):
        find_version(table, "nobody", "UTC")


def test_an_added_column_is_null_in_rows_written_before_it(tmp_path: Path) -> None:
    publish(Lake(tmp_path).table(contract()), [KEYS[0]])
    wider = contract(
        columns={"business_date": "DATE", "amount": "DECIMAL(18,3)", "label": "VARCHAR", "note": "VARCHAR"}
    )
    table = Lake(tmp_path).table(wider)
    table.publish(table.open(), rows([KEYS[1]], "b", wider), [KEYS[1]], run_id="r", keys=KEYS)
    found = table.open().dataset().to_table().sort_by("business_date")
    assert found["note"].to_pylist() == [None, None]
    assert content(table) == [(KEYS[0], "a"), (KEYS[1], "b")]


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        (["2011-01-05"], "d = '2011-01-05'"),
        (["2011-01-01", "2011-01-02"], "d >= '2011-01-01' AND d <= '2011-01-02'"),
        (
            ["2011-01-01", "2011-01-02", "2011-01-04"],
            "d >= '2011-01-01' AND d <= '2011-01-04' AND d NOT IN ('2011-01-03')",
        ),
        (["2011-01-01", "2011-01-20"], "d IN ('2011-01-01', '2011-01-20')"),
    ],
)
def test_a_predicate_names_exactly_its_partitions(partitions: list[str], expected: str) -> None:
    assert predicate("d", partitions, KEYS) == expected
