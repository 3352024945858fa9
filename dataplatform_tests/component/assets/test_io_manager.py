"""The lake's IO manager for ordinary assets, and the traps of DuckDB's stock one, each a behaviour here."""

import gc
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import ibis
import pandas as pd
import pyarrow as pa
import pytest

from dataplatform.assets.io_manager import lake_io_manager
from dataplatform.project import Project
from dataplatform_tests.factory import TableFactory
from dataplatform_tests.shop import load, rows

D1, D2 = "2011-01-01", "2011-01-02"
DAYS = dg.DailyPartitionsDefinition(D1, "2011-01-11")
KEY = ["aggregate", "daily_notes"]
Maker = Callable[[list[str]], Any]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    tables = TableFactory(tmp_path)
    columns = {"business_date": "DATE partitioned key", "note": "VARCHAR", "paid_amount": "DECIMAL(18,3) required"}
    tables.add("aggregate", "daily_notes", columns, partitioning="day", function=_EMPTY)
    return load(tmp_path)


_EMPTY = """
def daily_notes():
    none = ibis.range(0, 0).unnest().name("n").as_table()
    return none.select(
        business_date=ibis.date(2011, 1, 1), note=ibis.literal(None, "string"),
        paid_amount=ibis.literal(None, "decimal(18,3)"))
"""


def frame(days: list[str], note: str = "a", amount: str | None = "1.5") -> pd.DataFrame:
    amounts = [None if amount is None else Decimal(amount)] * len(days)
    return pd.DataFrame(
        {"business_date": [date.fromisoformat(d) for d in days], "note": [note] * len(days), "paid_amount": amounts}
    )


def as_pandas(days: list[str]) -> pd.DataFrame:
    return frame(days)


def as_arrow(days: list[str]) -> pa.Table:
    return pa.Table.from_pandas(frame(days), preserve_index=False)


def as_ibis(days: list[str]) -> ibis.Table:
    connection = ibis.duckdb.connect()
    return connection.create_table("given", as_arrow(days))


def publish(project: Project, make: Maker, partition: str | tuple[str, str]) -> dg.ExecuteInProcessResult:
    @dg.asset(key=KEY, partitions_def=DAYS, io_manager_key="io")
    def notes(context: dg.AssetExecutionContext) -> Any:
        return make(list(context.partition_keys))

    notes_asset = notes
    resources = {"io": lake_io_manager(project)}
    options: dict[str, Any] = (
        {"partition_key": partition} if isinstance(partition, str) else {"tags": _range(partition)}
    )
    return dg.materialize([notes_asset], resources=resources, raise_on_error=False, **options)


def _range(partitions: tuple[str, str]) -> dict[str, str]:
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return dict(zip(names, partitions, strict=True))


@pytest.mark.parametrize("make", [as_pandas, as_arrow, as_ibis], ids=["pandas", "arrow", "ibis"])
def test_tables_of_three_libraries_go_in_with_the_contracts_types(project: Project, make: Maker) -> None:
    assert publish(project, make, (D1, D2)).success
    expected = [(date(2011, 1, day), "a", Decimal("1.500")) for day in (1, 2)]
    assert rows(project, "daily_notes") == expected


@pytest.mark.parametrize(("kind", "count"), [(pd.DataFrame, len), (pa.Table, len), (ibis.Table, None)])
def test_and_come_out_as_what_is_asked_for(project: Project, kind: type, count: Any) -> None:
    publish(project, as_pandas, (D1, D2))
    seen: list[Any] = []

    def reader(notes: Any) -> None:
        seen.append((type(notes), count(notes) if count else notes.count().execute()))

    reader.__annotations__["notes"] = kind
    asset = dg.asset(ins={"notes": dg.AssetIn(KEY, input_manager_key="io")}, partitions_def=DAYS)(reader)
    spec = dg.AssetSpec(KEY, partitions_def=DAYS)
    result = dg.materialize([asset, spec], resources={"io": lake_io_manager(project)}, partition_key=D2)
    assert result.success
    assert seen == [(kind, 1)]


def test_a_rewrite_that_fails_midway_leaves_the_partition_as_it_was(project: Project) -> None:
    """Pain 2: nothing is deleted before the new rows are there."""
    publish(project, as_pandas, D1)
    result = publish(project, lambda days: frame(days, amount=None), D1)
    assert not result.success
    assert rows(project, "daily_notes", "note", "paid_amount") == [("a", Decimal("1.500"))]


def test_columns_in_another_order_do_not_swap_values(project: Project) -> None:
    """Pain 3: by name, not by place."""
    publish(project, lambda days: frame(days)[["paid_amount", "note", "business_date"]], D1)
    assert rows(project, "daily_notes") == [(date(2011, 1, 1), "a", Decimal("1.500"))]


def test_rows_outside_the_partition_are_refused_by_name_and_never_doubled(project: Project) -> None:
    for _ in range(2):
        result = publish(project, lambda days: frame([*days, "2011-01-07"]), D1)
        assert not result.success
    event = next(event for event in result.all_events if event.is_step_failure)
    assert "1 rows of 2011-01-07" in str(event.step_failure_data.error)
    assert rows(project, "daily_notes") == []


def test_an_empty_first_write_works_and_keeps_the_types(project: Project) -> None:
    assert publish(project, lambda _days: frame([]), D1).success
    assert rows(project, "daily_notes") == []
    assert publish(project, as_pandas, D1).success
    assert len(rows(project, "daily_notes")) == 1


def test_partitions_written_one_two_one_leave_exactly_the_last_of_each(project: Project) -> None:
    for partition, note in ((D1, "first"), (D2, "second"), (D1, "again")):
        publish(project, partial(frame, note=note), partition)
    assert rows(project, "daily_notes", "business_date", "note") == [
        (date(2011, 1, 1), "again"),
        (date(2011, 1, 2), "second"),
    ]


def test_connections_handed_out_with_inputs_are_closed_when_the_run_ends(project: Project) -> None:
    publish(project, as_pandas, D1)
    kept: list[ibis.Table] = []

    def reader(notes: ibis.Table) -> None:
        kept.append(notes)

    reader.__annotations__["notes"] = ibis.Table
    asset = dg.asset(ins={"notes": dg.AssetIn(KEY, input_manager_key="io")}, partitions_def=DAYS)(reader)
    spec = dg.AssetSpec(KEY, partitions_def=DAYS)
    dg.materialize([asset, spec], resources={"io": lake_io_manager(project)}, partition_key=D1)
    gc.collect()
    with pytest.raises(duckdb.ConnectionException):
        kept[0].count().execute()


def test_a_missing_column_is_named_and_nothing_is_written(project: Project) -> None:
    result = publish(project, lambda days: frame(days).drop(columns="note"), D1)
    event = next(event for event in result.all_events if event.is_step_failure)
    assert "missing note" in str(event.step_failure_data.error)
    assert rows(project, "daily_notes") == []


def test_an_asset_that_returns_nothing_is_told_so(project: Project) -> None:
    result = publish(project, lambda _days: None, D1)
    event = next(event for event in result.all_events if event.is_step_failure)
    assert "return a table, an empty one if need be" in str(event.step_failure_data.error)
