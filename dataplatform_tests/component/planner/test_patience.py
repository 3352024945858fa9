"""What was tried in vain waits until something about it changes, or for a while; whoever asks for all gets all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataplatform.assets import judging
from dataplatform.assets.slices import make_slices
from dataplatform.errors import PermanentError, TransientError
from dataplatform.lake import attempts
from dataplatform.lake.attempts import Attempt, read_attempts, write_attempts
from dataplatform.planner.patience import FIRST_DELAY, LONGEST_DELAY, delay, waiting
from dataplatform.planner.plan import Plan, make_plan
from dataplatform.project import Project
from dataplatform_tests.in_dagster import drop
from dataplatform_tests.shop import load, reload, rows, settle, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
RAW = "raw_shop_orders"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path, end_date=D3)


def patient(project: Project, after: timedelta = timedelta(0)) -> Plan:
    return make_plan(project, patient_at=datetime.now(UTC) + after)


def stale(plan: Plan) -> dict[str, list[str]]:
    return {table: plan.slices_of(table) for table in plan.stale}


def land_nothing_readable(project: Project, day: str) -> None:
    drop(project, day)
    (Path(str(project.settings.landing)) / "orders" / f"{day}.csv").write_bytes(b"")


def noted(project: Project, table: str) -> dict[str, Attempt]:
    return read_attempts(project.lake.table(project.catalog.get(table)).folder)


# what failed for good


def test_a_refused_file_waits_until_it_is_another(project: Project) -> None:
    land_nothing_readable(project, D1)
    drop(project, D2, "2,7,UK,1")
    settle(project)
    assert stale(patient(project)) == {}
    assert make_plan(project).slices_of(RAW) == [D1], "who asks for everything gets it"
    (wait,) = patient(project).waiting[RAW].values()
    assert (wait.until, wait.reason.split(":")[0]) == (None, "empty_file")
    drop(project, D1, "1,7,UK,1")
    assert patient(project).slices_of(RAW) == [D1]
    settle(project)
    assert len(rows(project, "daily_orders")) == 2
    assert patient(project).waiting == {}


def test_a_blocked_slice_waits_until_its_input_is_published_again(project: Project) -> None:
    drop(project, D1, "1,7,UK,x")  # above the share that may be quarantined
    drop(project, D2, "2,7,UK,1")
    settle(project)
    assert stale(patient(project)) == {}
    assert list(patient(project).waiting) == ["orders"]
    drop(project, D1, "1,7,UK,1.5")
    assert list(stale(patient(project))) == [RAW], "whether orders change is not known yet"
    settle(project, select=[RAW])
    assert stale(patient(project))["orders"] == [D1]


def test_a_blocked_slice_is_tried_again_with_other_code(tmp_path: Path, project: Project) -> None:
    drop(project, D1, "1,7,UK,x")
    settle(project)
    shop_tables(tmp_path, orders={"custom": {"rowPreserving": [RAW], "quarantineShare": 1.0}})
    assert stale(patient(reload(project)))["orders"] == [D1]


def test_a_header_without_rows_is_read_once_and_then_left(project: Project) -> None:
    drop(project, D1, "1,7,UK,1")
    settle(project)
    drop(project, D1)
    assert patient(project).slices_of(RAW) == [D1]
    settle(project, select=[RAW])
    assert stale(patient(project)) == {}
    assert patient(project).waiting[RAW][D1].reason.startswith("nothing was delivered, 1 published rows stay")


UNLUCKY = """
import pandas as pd

def daily_orders(fact_orders: pd.DataFrame) -> pd.DataFrame:
    if (fact_orders["order_id"] == "13").any():
        raise ValueError("13 is unlucky")
    by_day = fact_orders.groupby("business_date", as_index=False)
    return by_day.agg(order_count=("order_id", "count"), total_amount=("order_amount", "sum"))
"""


def test_a_function_that_raises_waits_for_other_rows(tmp_path: Path) -> None:
    shop_tables(tmp_path, daily_orders={"function": UNLUCKY})
    project = load(tmp_path, end_date=D3)
    drop(project, D1, "13,7,UK,1")
    with pytest.raises(ValueError, match="unlucky"):
        settle(project)
    assert stale(patient(project)) == {}
    (wait,) = patient(project).waiting["daily_orders"].values()
    assert wait.reason == "ValueError", "a message that we did not write may hold values"
    drop(project, D1, "14,7,UK,1")
    settle(project)
    assert len(rows(project, "daily_orders")) == 1


# what may pass


def down(*_: object, **__: object) -> Any:
    raise TransientError("the source is down")


def test_what_may_pass_is_tried_again_after_growing_delays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(project, D1, "1,7,UK,1")
    contract = project.catalog.get(RAW)
    with monkeypatch.context() as broken:
        broken.setattr(judging, "from_source", down)
        for tries in (1, 2, 3):
            with pytest.raises(TransientError):
                make_slices(project, contract, [D1], run_id=f"try {tries}")
            assert noted(project, RAW)[D1].count == tries
            assert stale(patient(project)) == {}
            assert patient(project, delay(tries)).slices_of(RAW) == [D1]
    settle(project)
    assert stale(patient(project)) == {}
    assert len(rows(project, RAW)) == 1


def test_delays_double_from_a_minute_to_an_hour() -> None:
    minutes = [delay(tries).total_seconds() / 60 for tries in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (delay(0), delay(10_000)) == (FIRST_DELAY, LONGEST_DELAY)


def test_what_was_tried_in_a_situation_nobody_knows_waits_for_a_while() -> None:
    now = datetime.now(UTC)
    tried = Attempt(int(now.timestamp() * 1e9), "a-run", "", "it moved meanwhile")
    found = waiting(tried, "any", now)
    assert found is not None
    assert found.until is not None
    assert waiting(tried, "any", found.until) is None


def test_a_full_disk_may_pass(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(project, D1, "1,7,UK,1")

    def full(*_: object, **__: object) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(judging, "from_source", full)
        with pytest.raises(OSError, match="No space"):
            make_slices(project, project.catalog.get(RAW), [D1], run_id="a-run")
    assert noted(project, RAW)[D1].is_transient


# what is no failure of a slice


def test_a_contract_that_asks_for_a_rebuild_is_no_attempt(tmp_path: Path, project: Project) -> None:
    drop(project, D1, "1,7,UK,1")
    settle(project)
    columns = {"business_date": "DATE partitioned key", "order_count": "VARCHAR", "total_amount": "DECIMAL(18,3)"}
    function = (
        "def daily_orders(fact_orders):\n    f = fact_orders\n    return f.group_by('business_date').agg("
        "order_count=f.count().cast('string'), total_amount=f.order_amount.sum())"
    )
    shop_tables(tmp_path, daily_orders={"columns": columns, "function": function})
    changed = reload(project)
    with pytest.raises(PermanentError, match="run `dataplatform rebuild daily_orders --yes`"):
        make_slices(changed, changed.catalog.get("daily_orders"), [D1], run_id="a-run")
    assert noted(changed, "daily_orders") == {}


# the notes themselves


def test_the_newest_attempt_counts_however_many_there_are(tmp_path: Path) -> None:
    assert read_attempts(tmp_path) == {}
    for number in range(attempts.MERGE_AT * 2 + 3):
        write_attempts(tmp_path, {D1: Attempt(number, "run", f"s{number}", "why"), f"day {number}": _attempt(number)})
    found = read_attempts(tmp_path)
    assert found[D1].situation == f"s{attempts.MERGE_AT * 2 + 2}"
    assert len(found) == attempts.MERGE_AT * 2 + 4
    assert len(list((tmp_path / attempts.FOLDER).iterdir())) < attempts.MERGE_AT


def _attempt(at: int) -> Attempt:
    return Attempt(at, "run", "", "why", is_transient=True)


def test_a_damaged_note_counts_as_none(tmp_path: Path) -> None:
    write_attempts(tmp_path, {D1: _attempt(1)})
    (note,) = (tmp_path / attempts.FOLDER).iterdir()
    for content in ("", "[]", '{"2011-01-01": 3}', '{"2011-01-01": {"other": 1}}'):
        note.write_text(content, encoding="utf-8")
        assert read_attempts(tmp_path) == {}
