"""Run tracking: whatever becomes of a step, `operations.table_runs` has one row that says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets import slices
from dataplatform.assets.slices import make_slices
from dataplatform.assets.tracking import commit_tracking
from dataplatform.errors import OvertakenError, TransientError
from dataplatform.lake.journal import PENDING
from dataplatform.project import Project
from dataplatform.serving.query import run_query
from dataplatform_tests.in_dagster import drop, materialize
from dataplatform_tests.shop import deliver, load, reload, settle, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
SHOWS_A_BUYER = """import pandas as pd


def orders(raw_shop_orders: pd.DataFrame) -> pd.DataFrame:
    if "7" in set(raw_shop_orders.buyer_id):
        raise ValueError(f"buyer {raw_shop_orders.buyer_id[0]} is not known")
    return raw_shop_orders.assign(order_amount=None)[
        ["order_id", "buyer_id", "country", "order_amount", "business_date"]
    ]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def runs(shop: Project, where: str = "true") -> list[dict[str, Any]]:
    sql = f"SELECT * FROM operations.table_runs WHERE {where} ORDER BY ended_at"
    with run_query(shop.settings, shop.catalog, sql) as answer:
        return [row for batch in answer.batches() for row in batch.to_pylist()]


def run_of(shop: Project, table: str) -> dict[str, Any]:
    """The newest row of one table."""
    return runs(shop, f"table_name = '{table}'")[-1]


def make(shop: Project, table: str, *partitions: str) -> slices.Outcome:
    return make_slices(shop, shop.catalog.get(table), partitions, run_id="this")


def test_before_the_first_run_the_table_is_there_and_empty_with_its_columns(shop: Project) -> None:
    assert runs(shop) == []
    with run_query(shop.settings, shop.catalog, "FROM operations.table_runs") as answer:
        assert {"run_id", "table_name", "status", "failures", "seconds_judge"} <= set(answer.schema.names)
    with run_query(shop.settings, shop.catalog, "FROM quality.rule_results") as answer:
        assert {"table_name", "partition", "rule", "status"} <= set(answer.schema.names)


def test_a_step_leaves_one_row_with_what_it_read_made_and_wrote(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1"), ("2", "8", "FR", "2"), ("3", "9", "DE", "x")])
    before = shop.lake.table(shop.catalog.get("raw_shop_orders")).open().version
    make(shop, "orders", D1)
    (row,) = runs(shop, "table_name = 'orders'")
    published = shop.lake.table(shop.catalog.get("orders")).open()
    assert row["ended_at"] > row["started_at"]
    assert {k: row[k] for k in ("run_id", "layer", "status", "attempts")} == {
        "run_id": "this", "layer": "cleaned", "status": "published", "attempts": 1,
    }  # fmt: skip
    assert (row["rows_in"], row["rows_made"], row["rows_published"], row["rows_quarantined"]) == (3, 3, 2, 1)
    assert (row["partition_count"], row["first_partition"], row["last_partition"]) == (1, D1, D1)
    assert row["partitions"] == [D1]
    assert (row["failed_count"], row["error_kind"], row["error"], row["failures"]) == (0, None, None, [])
    assert row["bytes_written"] == sum(file.size for file in published.files) > 0
    assert dict(row["input_versions"]) == {"raw_shop_orders": before}
    assert (row["version_read"], row["version_written"]) == (0, published.version)
    phases = [row[f"seconds_{phase}"] for phase in ("make", "judge", "publish", "record")]
    assert all(seconds > 0 for seconds in phases)
    assert sum(phases) <= (row["ended_at"] - row["started_at"]).total_seconds()


def test_equal_rows_are_unchanged_and_nothing_is_written(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    make(shop, "orders", D1)
    make(shop, "orders", D1)
    row = run_of(shop, "orders")
    assert (row["status"], row["rows_published"], row["rows_unchanged"]) == ("unchanged", 0, 1)
    assert (row["version_written"], row["bytes_written"]) == (None, 0)


def test_what_cannot_be_made_yet_is_left_and_no_failure(shop: Project) -> None:
    make(shop, "orders", D1, D2)
    row = run_of(shop, "orders")
    assert (row["status"], row["left_partitions"], row["failed_count"]) == ("left", [D1, D2], 0)


def test_a_refused_delivery_says_why_in_one_line(shop: Project) -> None:
    drop(shop, D1, "1,7,UK,1")
    (shop.settings.landing_folder / "orders" / f"{D1}.csv").write_text("order_id,buyer_id\n1,7\n", encoding="utf-8")
    make(shop, "raw_shop_orders", D1)
    row = run_of(shop, "raw_shop_orders")
    assert (row["status"], row["error_kind"], row["failed_count"]) == ("refused", "permanent", 1)
    assert "missing_column" in row["error"]


def test_of_a_range_with_a_bad_day_the_good_ones_count_and_the_bad_one_has_its_line(shop: Project) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    deliver(shop, D2, [("2", "7", "UK", "x"), ("3", "7", "UK", "y")])
    deliver(shop, D3, [("4", "7", "UK", "4")])
    make(shop, "orders", D1, D2, D3)
    row = run_of(shop, "orders")
    assert (row["status"], row["rows_published"], row["failed_count"]) == ("partly_failed", 2, 1)
    assert row["error_kind"] == "permanent"
    ((partition, problem),) = row["failures"]
    assert partition == D2
    assert "quarantine_share" in problem
    assert "\n" not in row["error"]


def test_a_step_that_raises_is_recorded_without_the_values_it_shows(shop: Project) -> None:
    """Pain 19: what people query holds no text that may quote a value."""
    deliver(shop, D1, [("1", "7", "UK", "1")])
    shop.catalog.get("orders").path.with_suffix(".py").write_text(SHOWS_A_BUYER, encoding="utf-8")
    with pytest.raises(ValueError, match="buyer 7 is not known"):
        make(reload(shop), "orders", D1)
    row = run_of(shop, "orders")
    assert (row["status"], row["error_kind"], row["failed_count"]) == ("failed", "unexpected", 1)
    assert row["error"] == "ValueError at orders.py:6"
    assert row["failures"] == [(D1, row["error"])]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TransientError("the bucket is down"), "transient", "the bucket is down"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (OSError(28, "No space left on device"), "permanent", "OSError: No space left on device"),
    ],
    ids=["transient", "cancelled", "full disk"],
)
def test_the_kind_of_an_error_is_recorded_and_the_error_raised_on(
    shop: Project, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: str, text: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    deliver(shop, D1, [("1", "7", "UK", "1")])
    monkeypatch.setattr(slices, "_publish", fail)
    with pytest.raises(type(error)):
        make(shop, "orders", D1)
    row = run_of(shop, "orders")
    assert (row["status"], row["error_kind"]) == ("failed", kind)
    assert row["error"].startswith(text)


def overtake(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    publish, left = slices._publish, [None] * times

    def overtaken(*arguments: Any) -> Any:
        if left:
            left.pop()
            raise OvertakenError("cleaned.orders: another run published it meanwhile")
        return publish(*arguments)

    monkeypatch.setattr(slices, "_publish", overtaken)


def test_attempts_that_were_overtaken_are_counted(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    overtake(monkeypatch, times=2)
    make(shop, "orders", D1)
    row = run_of(shop, "orders")
    assert (row["status"], row["attempts"], row["rows_in"]) == ("published", 3, 1)


def test_who_is_overtaken_again_and_again_failed_so(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    overtake(monkeypatch, times=99)
    with pytest.raises(OvertakenError):
        make(shop, "orders", D1)
    row = run_of(shop, "orders")
    assert (row["error_kind"], row["attempts"]) == ("overtaken", slices.ATTEMPTS)


def test_what_was_published_before_a_step_broke_counts_as_published(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_by_one(_project: Project, _contract: object, partitions: Sequence[str]) -> list[list[str]]:
        return [[partition] for partition in partitions]

    for day in (D1, D2):
        deliver(shop, day, [("1", "7", "UK", "1")])
    monkeypatch.setattr(slices, "_chunks", one_by_one)
    make_chunk = slices._make_chunk

    def break_at_the_second(step: Any, partitions: Sequence[str]) -> None:
        if partitions == [D2]:
            raise TransientError("the disk went away")
        make_chunk(step, partitions)

    monkeypatch.setattr(slices, "_make_chunk", break_at_the_second)
    with pytest.raises(TransientError):
        make(shop, "orders", D1, D2)
    row = run_of(shop, "orders")
    assert (row["status"], row["rows_published"], row["error_kind"]) == ("partly_failed", 1, "transient")
    assert row["failures"] == [(D2, "the disk went away")]


def test_a_row_that_cannot_be_stored_never_fails_a_publication_and_is_told(
    shop: Project, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(shop, D1, [("1", "7", "UK", "1")])
    shop_operations = shop.lake.root / "operations"
    shop_operations.rename(shop.lake.root / "gone")
    shop_operations.write_text("a file in its place", encoding="utf-8")
    outcome = make(shop, "orders", D1)
    assert outcome.slices[D1].status == "published"
    assert "the row of cleaned.orders was not stored" in outcome.untold
    assert outcome.untold in caplog.text


def test_rows_are_readable_while_the_run_goes_on_and_committed_at_its_end(shop: Project) -> None:
    table = shop.lake.root / "operations" / "table_runs"
    drop(shop, D1, "1,7,UK,1")
    with dg.instance_for_test() as instance:
        result = materialize(shop, instance, "raw_shop_orders orders dim_buyer", (D1, D1))
    assert not list((table / PENDING).glob("*.arrow")), "the end of a run commits"
    assert [(row["table_name"], row["run_id"]) for row in runs(shop)] == [
        (name, result.run_id) for name in ("raw_shop_orders", "orders", "dim_buyer")
    ]
    make(shop, "orders", D1)
    assert list((table / PENDING).glob("*.arrow"))
    assert len(runs(shop)) == 4, "what waits for its commit is read too"


def test_a_commit_that_fails_at_the_end_of_a_run_keeps_its_rows(
    shop: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    settle(shop)
    deliver(shop, D1, [("1", "7", "UK", "1")])
    with monkeypatch.context() as patch:
        patch.setattr("deltalake.write_deltalake", full)
        commit_tracking(shop.lake.root)
    assert "rows of this run wait for the next one to commit them: OSError: No space left" in caplog.text
    assert len(runs(shop)) == 1
    commit_tracking(shop.lake.root)
    assert len(runs(shop)) == 1
