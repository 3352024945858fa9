"""Keys over whole tables: what two runs at once publish twice is found by the daily check, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dataplatform.assets.candidates import Candidate
from dataplatform.assets.definition import asset_key
from dataplatform.assets.slices import make_slices
from dataplatform.build import build_definitions
from dataplatform.contracts.schema import arrow_schema
from dataplatform.operations.daily_checks import JOB, broken_lines, daily_checks
from dataplatform.project import Project
from dataplatform_tests.factory import TableFactory
from dataplatform_tests.in_dagster import QUIET
from dataplatform_tests.shop import load

D1, D2 = "2011-01-01", "2011-01-02"
COLUMNS = {"ticket_id": "VARCHAR key private", "seat": "VARCHAR unique", "business_date": "DATE partitioned"}


@pytest.fixture
def desk(tmp_path: Path) -> Project:
    """Tickets whose number says nothing of their day, and tickets that are numbered anew each day."""
    tables = TableFactory(tmp_path)
    tables.add(
        "cleaned",
        "tickets",
        COLUMNS,
        partitioning="day",
        inputs=["raw_tickets"],
        function="def tickets(raw_tickets):\n    return raw_tickets.select('ticket_id', 'seat', 'business_date')",
    )
    tables.add(
        "cleaned",
        "day_tickets",
        {"ticket_id": "VARCHAR key", "business_date": "DATE partitioned key"},
        partitioning="day",
        inputs=["raw_tickets"],
        function="def day_tickets(raw_tickets):\n    return raw_tickets.select('ticket_id', 'business_date')",
    )
    text = {"ticket_id": "VARCHAR", "seat": "VARCHAR"}
    provenance = {"extra_columns": "VARCHAR", "file_name": "VARCHAR", "line_number": "INTEGER"}
    tables.add(
        "raw",
        "raw_tickets",
        {**text, **provenance, "business_date": "DATE partitioned"},
        partitioning="day",
        custom={"source": {"kind": "landing", "folder": "tickets", "columns": {name: name for name in text}}},
    )
    return load(tmp_path)


def publish(project: Project, day: str, tickets: Sequence[tuple[str, str]], meanwhile: Any = None) -> None:
    """Publishes one day; `meanwhile` happens after the table was opened and before its keys are judged."""
    for name in ("tickets", "day_tickets"):
        contract = project.catalog.get(name)
        made = [{"ticket_id": t, "seat": s, "business_date": date.fromisoformat(day)} for t, s in tickets]

        def maker(
            session: Any, _target: Any, wanted: Sequence[str], made: Any = made, contract: Any = contract
        ) -> Candidate:
            if meanwhile is not None and contract.name == "tickets":
                meanwhile()
            rows = pa.Table.from_pylist(made, schema=arrow_schema(contract))
            return Candidate(session.from_arrow(rows), tuple(wanted))

        outcome = make_slices(project, contract, [day], run_id=f"run of {day}", maker=maker)
        assert not outcome.failed


def two_runs_at_once(project: Project) -> None:
    publish(project, D2, [("a", "1"), ("b", "2")], meanwhile=lambda: publish(project, D1, [("a", "3"), ("c", "4")]))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def run_job(project: Project, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(project).resolve_job_def(JOB)
    return job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False)


def keys_check(project: Project, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(asset_key(project.catalog.get("tickets")), "keys")
    (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation


def test_one_key_published_by_two_runs_at_once_is_found_and_named(desk: Project) -> None:
    two_runs_at_once(desk)
    found = daily_checks(desk, run_id="night")
    assert {(t, r.rule.name): (r.passed, r.failed_rows) for t, of_table in found.items() for r in of_table} == {
        ("tickets", "primary_key"): (False, 2),
        ("tickets", "seat:unique"): (True, 0),
    }
    (line,) = broken_lines(desk, found)
    assert line.startswith(
        "cleaned.tickets: primary_key: expected unique ticket_id in the whole table, "
        "found 2 of 4 rows share a key, such as ***, in 2011-01-01 to 2011-01-02; "
    )


def test_a_table_whose_keys_are_unique_passes_and_its_verdicts_are_kept(desk: Project) -> None:
    publish(desk, D1, [("a", "1")])
    publish(desk, D2, [("b", "2")])
    found = daily_checks(desk, run_id="night")
    assert broken_lines(desk, found) == []
    history = DeltaTable(desk.lake.root / "quality" / "rule_results").to_pyarrow_table().to_pylist()
    kept = [row for row in history if row["run_id"] == "night"]
    assert {(row["table_name"], row["rule"], row["partition"], row["status"]) for row in kept} == {
        ("tickets", "primary_key", "all", "passed"),
        ("tickets", "seat:unique", "all", "passed"),
    }


def test_a_key_that_its_slice_proves_is_not_looked_at_again(desk: Project) -> None:
    publish(desk, D1, [("a", "1")])
    assert "day_tickets" not in daily_checks(desk, run_id="night")


def test_tables_that_were_never_published_have_nothing_to_check(desk: Project) -> None:
    assert daily_checks(desk, run_id="night") == {}


def test_the_job_fails_for_a_key_held_twice_and_the_tables_check_is_red(
    desk: Project, instance: dg.DagsterInstance
) -> None:
    two_runs_at_once(desk)
    result = run_job(desk, instance)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert "cleaned.tickets: primary_key" in str(data.description)
    evaluation = keys_check(desk, instance)
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)


def test_the_job_passes_and_the_tables_check_is_green_when_every_key_is_held_once(
    desk: Project, instance: dg.DagsterInstance
) -> None:
    publish(desk, D1, [("a", "1")])
    assert run_job(desk, instance).success
    assert keys_check(desk, instance).passed
