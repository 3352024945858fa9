"""The whole examination: what it says of a sound shop, that nothing hides anything, and that it writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.alerts.problem import ABOUT, anchor
from dataplatform.operations.doctor.examination import LOOKS, examine
from dataplatform.operations.doctor.finding import ENTRIES, Finding, Kind, error, warning
from dataplatform.operations.doctor.patient import Patient
from dataplatform.operations.doctor.report import as_text
from dataplatform.settings import CHECKOUT, Settings
from dataplatform_tests.command import call, options
from dataplatform_tests.component.operations.doctor.conftest import kinds, look
from dataplatform_tests.small_shop import make_shop

SOUND = ["file_missing", "rows_quarantined"]
"""The shop's last two days have no file, and two of its orders are bad."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those that SQLite makes to read."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_finding_has_an_entry_in_the_runbook(kind: Kind) -> None:
    page = (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8")
    places = {anchor(line.removeprefix("## ")): line for line in page.splitlines() if line.startswith("## ")}
    found = error(kind, "", "")
    assert found.runbook.partition("#")[2] in places, ENTRIES[kind]


def test_kinds_of_the_doctor_and_of_alerts_do_not_share_a_name() -> None:
    assert {kind.value for kind in Kind}.isdisjoint(kind.value for kind in ABOUT)


def test_a_sound_shop_has_no_error_and_everything_was_looked_at(settings: Settings) -> None:
    found = look(settings, *(name for name in LOOKS if name != "versions"))
    assert [finding.kind.value for finding in found.findings] == SOUND
    assert found.skipped == {}
    assert found.exit_code == 0


def test_before_the_first_run_nothing_is_an_error(tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    found = look(settings)
    assert found.exit_code == 0
    assert set(found.skipped) == {"daemons", "stuck runs", "pool slots"}
    assert not settings.data_dir.exists()


def test_without_fix_nothing_is_written(settings: Settings, tmp_path: Path) -> None:
    (settings.tmp_dir / "instance-left").mkdir(parents=True)
    before = contents(tmp_path)
    call(settings, "doctor", "--exit-code")
    assert contents(tmp_path) == before


def test_a_look_that_breaks_is_a_finding_and_hides_nothing(settings: Settings) -> None:
    def breaks(patient: Patient) -> Iterator[Finding]:
        yield warning(Kind.DISK_LOW, "seen before it broke", "")
        raise ValueError("customer anna@example.com")

    found = examine(settings, build_definitions, looks={"broken": breaks, "quarantine": LOOKS["quarantine"]})
    assert [each.kind.value for each in found.findings] == ["disk_low", "look_failed", "rows_quarantined"]
    assert found.findings[1].what.startswith("the look at broken ended in an error: ValueError in test_doctor.py:")
    assert found.exit_code == 1


def test_a_fix_that_fails_is_told_and_the_error_stays(settings: Settings) -> None:
    def refuses() -> str:
        raise OSError("read-only")

    def look_(patient: Patient) -> Iterator[Finding]:
        yield error(Kind.RUN_STUCK, "a run", "", refuses)
        yield error(Kind.RUN_STUCK, "another", "", lambda: "it was given its end")

    found = examine(settings, build_definitions, looks={"runs": look_}, fix=True)
    assert (found.done, found.failed, found.exit_code) == ({1: "it was given its end"}, {0: "OSError: read-only"}, 1)
    assert as_text(found).splitlines()[-1].startswith("2 errors, 1 fixed (1 look in ")


def test_the_command_answers_people_and_programs(settings: Settings) -> None:
    text = call(settings, "doctor")
    assert text.exit_code == 0
    assert "read:  docs/runbook.md#a-file-is-missing" in text.output
    whole = json.loads(call(settings, "doctor", "--format", "json").output)
    assert [each["kind"] for each in whole["findings"]][:2] == SOUND
    assert whole["findings"][1]["mend"] == "dataplatform quarantine show orders"


def test_exit_code_is_1_for_errors_alone_and_only_when_it_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    assert call(settings, "doctor", "--exit-code").exit_code == 0
    (tmp_path / "data/dagster/history/runs.db").write_bytes(b"no database" * 500)
    assert call(settings, "doctor").exit_code == 0
    assert call(settings, "doctor", "--exit-code").exit_code == 1


def test_refused_settings_are_a_finding_and_what_needs_none_is_looked_at(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAPLATFORM_MEMORY_LIMIT", "plenty")
    answer = call(settings, "doctor", "--exit-code", "--format", "json")
    whole = json.loads(answer.output)
    assert (answer.exit_code, whole["findings"][0]["kind"]) == (1, "settings_refused")
    assert "versions" not in whole["not_looked_at"]
    assert "--data-dir" in options(settings)


def test_broken_definitions_do_not_hide_what_is_wrong_with_the_lake(settings: Settings, tmp_path: Path) -> None:
    """Pain: one bad contract must not blind whoever looks."""
    (tmp_path / "tables" / "cleaned" / "orders.yaml").write_text("kind: nothing\n")
    next((settings.lake_dir / "dimensional" / "fact_orders").rglob("*.parquet")).unlink()
    assert {"definitions_broken", "table_unreadable"} <= set(kinds(settings))
    assert kinds(settings, "definitions", "tables").count("table_unreadable") == 1
