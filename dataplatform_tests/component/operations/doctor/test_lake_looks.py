"""Damaged tables, what is left undone, and who was told: each found, mended as it is said, and gone afterwards."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from dataplatform.errors import NoAnswerError
from dataplatform.operations.alerts.outbox import open_outbox
from dataplatform.operations.alerts.problem import Kind, problem
from dataplatform.project import Project
from dataplatform.settings import Settings, utc_now
from dataplatform.sources.breaker import Breaker
from dataplatform_tests import small_shop
from dataplatform_tests.command import call
from dataplatform_tests.component.operations.doctor.conftest import kinds, look
from dataplatform_tests.small_shop import DAYS, FIRST_FILES

RECEIVERS = """
receivers: {ops: {kind: webhook, url_env: OPS_URL}}
default: [ops]
"""


def data_file(settings: Settings, table: str) -> Path:
    return next(
        path for path in sorted((settings.lake_dir / table).rglob("*.parquet")) if "_delta_log" not in str(path)
    )


# tables


def test_a_missing_file_is_found_and_a_rebuild_mends_it(settings: Settings) -> None:
    assert kinds(settings, "tables") == []
    data_file(settings, "dimensional/fact_orders").unlink()
    (found,) = look(settings, "tables").findings
    assert found.what.startswith("dimensional.fact_orders: 1 of its 4 files is missing: business_date=2011-01-0")
    assert found.mend == "dataplatform rebuild fact_orders --yes"
    assert call(settings, *found.mend.split()[1:]).exit_code == 0
    assert kinds(settings, "tables") == []


def test_a_file_that_was_cut_off_is_found(settings: Settings) -> None:
    path = data_file(settings, "quality/rule_results")
    path.write_bytes(path.read_bytes()[:-10])
    (found,) = look(settings, "tables").findings
    assert "quality.rule_results: 1 of its" in found.what
    assert "is of another size than was written" in found.what
    assert found.mend.endswith("its history begins anew")


def test_a_damaged_log_is_found_and_moving_the_table_away_mends_it(settings: Settings, tmp_path: Path) -> None:
    before = small_shop.published(Project.load(settings))
    (settings.lake_dir / "aggregate/daily_orders/_delta_log" / f"{0:020d}.json").write_text("{nonsense\n")
    (found,) = look(settings, "tables").findings
    assert found.what.startswith("aggregate.daily_orders: its log cannot be read (")
    shutil.move(settings.lake_dir / "aggregate/daily_orders", tmp_path / "away")
    assert call(settings, "run").exit_code == 0
    assert kinds(settings, "tables", "slices") == ["file_missing"]
    assert small_shop.published(Project.load(settings)) == before


@pytest.mark.parametrize("folder", ["_publications", "_attempts"])
def test_a_damaged_record_is_a_warning(settings: Settings, folder: str) -> None:
    record = settings.lake_dir / "cleaned/orders" / folder / "00000000000000000009-1-broken.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text("{half")
    found = look(settings, "tables")
    assert [each.kind.value for each in found.findings] == ["record_damaged"]
    assert (found.findings[0].what.endswith(record.name), found.exit_code) == (True, 0)


def test_a_damaged_record_of_what_is_published_is_made_again_and_merged_away(settings: Settings) -> None:
    (record,) = (settings.lake_dir / "aggregate/daily_orders/_publications").glob("*.json")
    record.write_bytes(record.read_bytes()[:-5])
    assert kinds(settings, "tables") == ["record_damaged"]
    assert call(settings, "run").exit_code == 0
    assert call(settings, "maintain", "--yes").exit_code == 0
    assert kinds(settings, "tables") == []


# what is left undone


def test_stale_slices_are_a_warning_with_the_command_that_makes_them(settings: Settings, tmp_path: Path) -> None:
    assert kinds(settings, "slices") == ["file_missing"]
    small_shop.deliver(tmp_path, {DAYS[4]: FIRST_FILES[DAYS[1]]})
    found = look(settings, "slices")
    stale = [each for each in found.findings if each.kind is Kind.SLICE_STALE]
    assert [(each.what, each.mend) for each in stale] == [
        (f"raw.raw_shop_orders: stale (1 partition: {DAYS[4]}): new delivery", "dataplatform run")
    ]
    assert found.exit_code == 0


def test_a_slice_that_was_tried_in_vain_is_an_error(settings: Settings, tmp_path: Path) -> None:
    small_shop.file_of(tmp_path, DAYS[4]).write_bytes(b"not,what,was\nagreed,1,2\n")
    assert call(settings, "run").exit_code == 1
    found = look(settings, "slices")
    failed = [each for each in found.findings if each.kind is Kind.SLICE_FAILED]
    assert [each.what.partition(":")[0] for each in failed] == ["raw.raw_shop_orders"]
    assert DAYS[4] in failed[0].what
    assert found.exit_code == 1


def test_a_held_table_is_a_warning_until_it_is_released(settings: Settings) -> None:
    assert call(settings, "hold", "fact_orders", "--reason", "wrong rates").exit_code == 0
    held = [each for each in look(settings, "slices").findings if each.kind is Kind.TABLE_HELD]
    assert [each.mend for each in held] == ["dataplatform release fact_orders"]
    assert call(settings, *held[0].mend.split()[1:]).exit_code == 0
    assert "table_held" not in kinds(settings, "slices")


def test_a_changed_contract_is_an_error_with_its_rebuild(settings: Settings, tmp_path: Path) -> None:
    contract = tmp_path / "tables/aggregate/daily_orders.yaml"
    text = contract.read_text()
    assert "BIGINT" in text
    contract.write_text(text.replace("BIGINT", "INTEGER"))
    changed = [each for each in look(settings, "slices").findings if each.kind is Kind.CONTRACT_CHANGED]
    assert [each.mend for each in changed] == ["dataplatform rebuild daily_orders --yes"]
    assert call(settings, *changed[0].mend.split()[1:]).exit_code == 0
    assert kinds(settings, "slices") == ["file_missing"]


def test_a_source_that_gives_nothing_is_an_error(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "landing").rename(tmp_path / "elsewhere")
    assert kinds(settings, "slices", "folders") == ["source_down", "folder_unusable"]


def test_an_outage_is_known_also_where_nothing_can_be_planned(settings: Settings) -> None:
    assert kinds(settings, "sources") == []
    breaker = Breaker(settings.tmp_dir / "sources" / "landing.json", "the landing s3://shop")
    with pytest.raises(NoAnswerError), breaker.asking():
        raise NoAnswerError("the landing s3://shop", "connection refused")
    (found,) = look(settings, "sources").findings
    assert found.what.startswith("the landing s3://shop is down since ")
    with breaker.asking():
        pass
    assert kinds(settings, "sources") == []


def test_the_quarantine_is_told_by_table_with_its_oldest_row(settings: Settings, tmp_path: Path) -> None:
    (found,) = look(settings, "quarantine").findings
    assert found.what.startswith("cleaned.orders: 2 rows in quarantine, the oldest since 20")
    assert found.what.endswith(f" UTC ({DAYS[0]}, {DAYS[2]})")
    good = {day: [("1", "7", "UK", "1")] for day in (DAYS[0], DAYS[2])}
    small_shop.deliver(tmp_path, good)
    assert call(settings, "run").exit_code == 0
    assert kinds(settings, "quarantine") == []


# who is told


@pytest.fixture
def telling(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "alerts.yaml").write_text(RECEIVERS)
    return Settings.load(**settings.model_dump() | {"alerts": tmp_path / "alerts.yaml"})


def test_a_wrong_file_of_receivers_is_found(telling: Settings, tmp_path: Path) -> None:
    assert kinds(telling, "alerts") == []
    (tmp_path / "alerts.yaml").write_text("receivers: {}\n")
    assert kinds(telling, "alerts") == ["receivers_refused"]


def test_a_receiver_that_cannot_be_reached_is_found_until_it_accepts(telling: Settings) -> None:
    now = utc_now().timestamp()
    with open_outbox(telling.data_dir) as outbox:
        outbox.note_failure("ops", "it answered 404", is_permanent=True, not_before=now + 60, now=now)
        outbox.observe("tables", [], now)
    found = [each for each in look(telling, "alerts").findings if each.kind is Kind.RECEIVER_UNREACHABLE]
    assert [each.mend for each in found] == ["mend what the reason names; then dataplatform alerts check ops"]
    assert "it answered 404" in found[0].what
    with open_outbox(telling.data_dir) as outbox:
        outbox.note_success("ops", "", now)
    assert "receiver_unreachable" not in kinds(telling, "alerts")


def test_what_is_left_and_was_told_to_nobody_is_found_until_somebody_was(telling: Settings) -> None:
    shutil.rmtree(telling.data_dir / "alerts")  # where the run noted them a moment ago
    two_hours_ago = time.time() - timedelta(hours=2).total_seconds()
    missing = problem(Kind.FILE_MISSING, "raw.raw_shop_orders", partitions=(DAYS[4], DAYS[5]), is_table=True)
    with open_outbox(telling.data_dir) as outbox:
        outbox.observe("tables", [missing], two_hours_ago)
    (found,) = look(telling, "alerts").findings
    assert (found.kind.value, found.mend) == ("problem_untold", "dataplatform alerts send")
    assert found.what.startswith("nobody was told: raw.raw_shop_orders: 2 partitions missing")
    with open_outbox(telling.data_dir) as outbox:
        outbox.mark_told("ops", [(missing.fingerprint, False)], time.time(), time.time())
    assert kinds(telling, "alerts") == []
