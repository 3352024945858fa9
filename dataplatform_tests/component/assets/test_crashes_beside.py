"""Crashes between one write and the next: nobody vouches for rows it did not see, and no verdict is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataplatform.assets import slices
from dataplatform.assets.candidates import Candidate
from dataplatform.assets.slices import make_slices
from dataplatform.contracts.schema import arrow_schema
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.planner.plan import LOST, make_plan
from dataplatform.project import Project
from dataplatform_tests.shop import deliver, load, settle, shop_tables
from dataplatform_tests.small_shop import verdicts

D1, D2 = "2011-01-01", "2011-01-02"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


def raw_rows(project: Project, **amounts: str) -> pa.Table:
    """One order on the 1st and one on the 2nd, of these amounts."""
    schema = arrow_schema(project.catalog.get("raw_shop_orders"))
    rows = [
        {"order_id": day, "buyer_id": "7", "country": "UK", "amount": amount, "business_date": date(2011, 1, int(day))}
        for day, amount in ((name[1:], amount) for name, amount in amounts.items())
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def test_a_slice_that_was_found_equal_is_unknown_when_a_crashed_run_replaced_it_meanwhile(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = shop.catalog.get("raw_shop_orders")

    def maker(rows: pa.Table, *, meanwhile: Any = None) -> Any:
        def make(session: Any, _target: Any, partitions: Sequence[str]) -> Candidate:
            if meanwhile is not None:
                meanwhile()
            return Candidate(session.from_arrow(rows), tuple(partitions))

        return make

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    def other_run_crashes_before_its_record() -> None:
        monkeypatch.setattr(slices, "write_record", crash)
        with pytest.raises(KeyboardInterrupt):
            make_slices(shop, contract, [D1], run_id="crashed", maker=maker(raw_rows(shop, d1="99")))
        monkeypatch.undo()

    make_slices(shop, contract, [D1, D2], run_id="first", maker=maker(raw_rows(shop, d1="1", d2="2")))
    late = maker(raw_rows(shop, d1="1", d2="3"), meanwhile=other_run_crashes_before_its_record)
    outcome = make_slices(shop, contract, [D1, D2], run_id="second", maker=late)
    assert {p: s.status for p, s in outcome.slices.items()} == {D1: "unchanged", D2: "published"}
    state = shop.lake.table(contract).open().state
    assert set(state.slices) == {D2}
    assert state.unknown == {D1}


def test_a_slice_whose_record_is_lost_is_named_as_such_and_wakes_nobody_when_it_is_equal(shop: Project) -> None:
    for day in (D1, D2):
        deliver(shop, day, [(day[-1], "7", "UK", "1")])
    settle(shop)
    folder = shop.lake.table(shop.catalog.get("orders")).folder / "_publications"
    for record in folder.iterdir():
        record.unlink()
    certain = {(s.table, s.partition): s.reason for s in make_plan(shop).slices() if s.certain}
    assert certain == {("orders", D1): LOST, ("orders", D2): LOST}
    assert settle(shop) == [("orders", D1), ("orders", D2)]


def test_a_crash_before_the_verdicts_are_written_does_not_lose_them(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    deliver(shop, D1, [("1", "7", "UK", "1")])
    orders = shop.catalog.get("orders")
    monkeypatch.setattr(PlatformTables, "append_results", crash)
    with pytest.raises(KeyboardInterrupt):
        make_slices(shop, orders, [D1], run_id="killed")
    monkeypatch.undo()
    assert settle(shop, select=["orders"]) == [("orders", D1)]
    judged = {(table, partition) for table, partition, *_ in verdicts(shop)}
    assert ("orders", D1) in judged
