"""A hold stops every publication, also one that was under way; it is part of the table and travels with it."""

from __future__ import annotations

import shutil
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataplatform.assets.candidates import Candidate
from dataplatform.assets.slices import make_slices
from dataplatform.contracts.schema import arrow_schema
from dataplatform.errors import OvertakenError
from dataplatform.lake.holds import PROPERTY, HeldError, Hold, write_hold
from dataplatform.lake.table import Lake
from dataplatform.project import Project
from dataplatform_tests import shop

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
HOLD = Hold("prices are wrong", "2011-01-04T03:00:00+00:00")
REFUSED = (
    r"cleaned\.orders is held since 2011-01-04T03:00:00\+00:00 \(prices are wrong\); "
    r"nothing publishes it until `dataplatform release orders`"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path)
    for day in (D1, D2):
        shop.deliver(project, day, [(day[-1], "7", "UK", "1")])
    shop.settle(project)
    return project


def held(project: Project, table: str = "orders") -> Any:
    return project.lake.table(project.catalog.get(table))


def test_a_held_table_refuses_to_be_published_and_says_how_it_is_released(project: Project) -> None:
    held(project).place_hold(HOLD)
    with pytest.raises(HeldError, match=REFUSED):
        make_slices(project, project.catalog.get("orders"), [D1], run_id="refused")
    held(project).end_hold()
    assert make_slices(project, project.catalog.get("orders"), [D1], run_id="made").slices[D1].is_published


def test_a_publication_that_was_under_way_when_the_table_was_held_does_not_land(project: Project) -> None:
    """The day is one that the hold does not touch: it is the hold itself that conflicts, not the rows."""
    raw, before = project.catalog.get("raw_shop_orders"), shop.rows(project, "raw_shop_orders")
    row = {"order_id": "9", "buyer_id": "7", "business_date": date.fromisoformat(D3)}
    data = pa.Table.from_pylist([row], schema=arrow_schema(raw))
    made: list[str] = []

    def maker(session: Any, _target: Any, partitions: Any) -> Candidate:
        made.append("made")
        held(project, raw.name).place_hold(HOLD)  # after the target was opened, before the commit
        return Candidate(session.from_arrow(data), tuple(partitions))

    with pytest.raises(HeldError, match=r"raw\.raw_shop_orders is held since .*; nothing publishes it until"):
        make_slices(project, raw, [D3], run_id="overtaken", maker=maker)
    assert made == ["made"], "the step was run again, and found the hold before it made anything"
    assert shop.rows(project, raw.name) == before


def test_a_hold_comes_through_while_the_table_is_published_all_the_time(project: Project) -> None:
    raw, stopped = project.catalog.get("raw_shop_orders"), threading.Event()
    refusals: list[Exception] = []

    def publish() -> None:
        number = 0
        while not stopped.is_set() and number < 200:
            number += 1
            try:
                shop.deliver(project, D3, [(str(number), "7", "UK", "1")])
            except HeldError as error:
                refusals.append(error)
                return

    publisher = threading.Thread(target=publish)
    publisher.start()
    held(project, raw.name).place_hold(HOLD)
    version = held(project, raw.name).open().version
    publisher.join(60)
    stopped.set()
    assert refusals, "the publisher was stopped by the hold"
    assert held(project, raw.name).open().version == version, "nothing was committed after it"


def test_holding_changes_no_rows_and_makes_nothing_unknown(project: Project) -> None:
    before = held(project).open()
    held(project).place_hold(HOLD)
    held(project).end_hold()
    after = held(project).open()
    assert after.version == before.version + 2
    assert after.state.slices == before.state.slices
    assert (after.state.unknown, after.hold) == (frozenset(), None)
    assert shop.settle(project) == []


def test_a_table_that_was_never_published_can_be_held(project: Project, tmp_path: Path) -> None:
    shop.shop_tables(tmp_path / "new")
    new = shop.load(tmp_path / "new")
    held(new).place_hold(HOLD)
    assert held(new).open().hold == HOLD
    shop.deliver(new, D1, [("1", "7", "UK", "1")])
    assert shop.settle(new) == []
    held(new).end_hold()
    assert {table for table, _ in shop.settle(new)} == {"orders", "dim_buyer", "fact_orders", "daily_orders"}


def test_a_hold_travels_with_a_copy_of_the_lake(project: Project, tmp_path: Path) -> None:
    held(project).place_hold(HOLD)
    shutil.copytree(project.lake.root, tmp_path / "copy")
    assert Lake(tmp_path / "copy").table(project.catalog.get("orders")).open().hold == HOLD


def test_a_hold_survives_a_checkpoint_of_the_log(project: Project) -> None:
    from deltalake import DeltaTable

    held(project).place_hold(HOLD)
    handle = DeltaTable(held(project).uri)
    handle.create_checkpoint()
    for number in range(handle.version()):
        (held(project).folder / "_delta_log" / f"{number:020d}.json").unlink()
    assert held(project).open().hold == HOLD


def test_a_hold_that_another_hand_wrote_holds_all_the_same(project: Project) -> None:
    from deltalake import DeltaTable

    DeltaTable(held(project).uri).alter.set_table_properties({PROPERTY: "leave it"}, raise_if_not_exists=False)
    assert held(project).open().hold == Hold("leave it", "an unknown time")


def test_a_hold_says_when_a_table_is_never_at_rest(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltalake.exceptions import CommitFailedError
    from deltalake.table import TableAlterer

    def never(*_: object, **__: object) -> None:
        raise CommitFailedError("another came first")

    monkeypatch.setattr(TableAlterer, "set_table_properties", never)
    with pytest.raises(OvertakenError, match="is published all the time; hold it again"):
        write_hold("cleaned.orders", held(project).uri, HOLD)


def test_delta_takes_a_change_of_properties_for_a_conflict_with_every_publication_under_way(project: Project) -> None:
    """What the hold leans on: an upgrade that changes it fails here by name."""
    from deltalake import CommitProperties, DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError

    under_way = DeltaTable(held(project).uri)
    held(project).place_hold(HOLD)
    rows = arrow_schema(held(project).contract).empty_table()
    with pytest.raises(CommitFailedError, match="Metadata changed"):
        write_deltalake(
            under_way,
            rows,
            mode="overwrite",
            predicate="business_date = '2011-01-09'",
            commit_properties=CommitProperties(max_commit_retries=15),
        )
