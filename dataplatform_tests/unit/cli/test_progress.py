"""What people see while a run works."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from dataplatform.assets.slices import Outcome, SliceOutcome
from dataplatform.cli.progress import Bars, Lines, finished_line, outcome_line, progress, wave_line
from dataplatform.contracts.model import Grain
from dataplatform.operations.run import RunReporter, WaveResult
from dataplatform.planner.waves import Wave

WAVE = Wave(("raw_orders", "orders"), Grain.DAY, ("2011-01-01", "2011-01-02"))
RESULT = WaveResult(WAVE.tables, WAVE.title, "a1b2", success=True, seconds=3.21)


def outcome(*slices: SliceOutcome) -> Outcome:
    return Outcome("orders", {each.partition: each for each in slices}, seconds=1.25)


def test_a_wave_names_its_days_and_few_tables() -> None:
    assert wave_line(WAVE) == "2011-01-01..2011-01-02: raw_orders, orders"


def test_many_tables_are_counted() -> None:
    assert wave_line(Wave(tuple("abcde"), Grain.NONE, ("all",))) == "5 tables"


def test_a_table_tells_what_became_of_its_slices() -> None:
    made = outcome(
        SliceOutcome("2011-01-01", "published", rows=1200, quarantined=3),
        SliceOutcome("2011-01-02", "unchanged", rows=34),
        SliceOutcome("2011-01-03", "failed", problems=("broken",)),
        SliceOutcome("2011-01-04", "left", warnings=("no file",)),
    )
    assert outcome_line(made) == (
        "  orders: 1 slice published, 1 slice unchanged, 1 slice FAILED, 1 slice left as it was, 1,234 rows, "
        "3 quarantined  (1.2 s)"
    )


def test_a_run_tells_how_it_ended_and_its_id() -> None:
    assert finished_line(RESULT) == "  done in 3.2 s, run a1b2"
    failed = WaveResult(("orders",), "", "a1b2", success=False, seconds=1)
    assert finished_line(failed) == "  FAILED in 1.0 s, run a1b2"


def report_a_wave(reporter: RunReporter) -> list[str]:
    """Tells the reporter of one wave; gives the lines it should show."""
    made = outcome(SliceOutcome("2011-01-01", "published", rows=1))
    reporter.wave_started(WAVE)
    reporter.table_finished("orders", made)
    reporter.wave_finished(RESULT)
    return [wave_line(WAVE), outcome_line(made), finished_line(RESULT)]


def test_without_a_terminal_each_event_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as reporter:
        assert isinstance(reporter, Lines)
        lines = report_a_wave(reporter)
    assert capsys.readouterr().out.splitlines() == lines


def test_a_terminal_shows_the_same_lines_above_a_bar() -> None:
    shown = io.StringIO()
    with Progress(console=Console(file=shown, force_terminal=True, width=200, color_system=None)) as bars:
        lines = report_a_wave(Bars(bars))
        assert bars.tasks == []
    for line in lines:
        assert line in shown.getvalue()


def test_a_terminal_is_told_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with progress() as reporter:
        assert isinstance(reporter, Bars)
