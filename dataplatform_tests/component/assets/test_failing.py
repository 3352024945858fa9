"""Which errors of a step are tried again, how often, and what is seen of it in Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.assets import slices
from dataplatform.assets.failing import STEP_RETRIES
from dataplatform.errors import OvertakenError
from dataplatform.project import Project
from dataplatform_tests.in_dagster import drop, failure, materialize, materialized
from dataplatform_tests.shop import ORDERS, load, rows, shop_tables

D1 = "2011-01-01"
FAILING = (
    """
import os, pathlib

def fail_if_asked():
    left = pathlib.Path(os.environ.get("SHOP_FAILS", "/nowhere"))
    words = left.read_text().split() if left.exists() else []
    if words:
        left.write_text(" ".join(words[1:]))
        raise {"reset": ConnectionResetError(104, "Connection reset by peer"), "memory": MemoryError("no more"),
               "full": OSError(28, "No space left on device"), "bug": KeyError("amount")}[words[0]]
"""
    + ORDERS
)
FAILING = FAILING.replace("    t = raw_shop_orders", "    fail_if_asked()\n    t = raw_shop_orders")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path, instance: dg.DagsterInstance) -> Project:
    """The shop with a day of raw orders, and orders whose function fails as `fail` says."""
    shop_tables(tmp_path, orders={"function": FAILING})
    project = load(tmp_path)
    drop(project, D1, "1,7,UK,1")
    assert materialize(project, instance, "raw_shop_orders", (D1, D1)).success
    return project


@pytest.fixture
def fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds one word for each attempt that fails."""
    path = tmp_path / "fails"
    monkeypatch.setenv("SHOP_FAILS", str(path))
    return path


def attempts(result: dg.ExecuteInProcessResult) -> int:
    retried = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY]
    return 1 + len(retried)


@pytest.mark.parametrize("words", ["reset", "memory reset"])
def test_what_may_go_away_by_itself_is_tried_again_and_published_once(
    shop: Project, instance: dg.DagsterInstance, fail: Path, words: str
) -> None:
    fail.write_text(words)
    result = materialize(shop, instance, "orders", (D1, D1))
    assert result.success
    assert attempts(result) == 1 + len(words.split())
    assert list(materialized(result, instance, "orders")) == [D1]
    assert len(rows(shop, "orders", "order_id")) == 1


def test_a_transient_error_that_stays_ends_the_step_after_three_attempts_and_says_what_it_was(
    shop: Project, instance: dg.DagsterInstance, fail: Path
) -> None:
    fail.write_text("reset " * 9)
    result = materialize(shop, instance, "orders", (D1, D1))
    assert attempts(result) == 1 + STEP_RETRIES.max_retries == 3
    assert failure(result, "orders") == "ConnectionResetError: [Errno 104] Connection reset by peer"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("bug", "KeyError: 'amount'"),
        ("full", "OSError: [Errno 28] No space left on device; free space below the data folder and run again"),
    ],
)
def test_a_permanent_error_is_not_tried_again(
    shop: Project, instance: dg.DagsterInstance, fail: Path, word: str, says: str
) -> None:
    fail.write_text(f"{word} {word}")
    result = materialize(shop, instance, "orders", (D1, D1))
    assert attempts(result) == 1
    assert failure(result, "orders").startswith(says)


def test_what_broke_the_contract_is_not_tried_again(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,x")
    materialize(shop, instance, "raw_shop_orders", (D1, D1))
    result = materialize(shop, instance, "orders", (D1, D1))
    assert not result.success
    assert attempts(result) == 1


def test_a_step_that_was_overtaken_too_often_is_not_tried_again_from_outside(
    shop: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran again from its inputs as often as is allowed: attempts add up, they do not multiply."""
    tries = []

    def overtaken(*_: object) -> None:
        tries.append(1)
        raise OvertakenError("orders 2011-01-01: another run published it meanwhile")

    monkeypatch.setattr(slices, "_publish", overtaken)
    result = materialize(shop, instance, "orders", (D1, D1))
    assert attempts(result) == 1
    assert len(tries) == slices.ATTEMPTS
    assert "another run published it meanwhile" in failure(result, "orders")
