"""The end of a run in words."""

from __future__ import annotations

from dataclasses import replace

from dataplatform.assets.slices import make_slices
from dataplatform.operations.run import RunSummary, WaveResult
from dataplatform.operations.summary import summary_text
from dataplatform.project import Project

WAVE = WaveResult(("orders",), "2011-01-02", "a1b2", success=True, seconds=1.0)


def ran(project: Project, *partitions: str) -> RunSummary:
    """The summary of a run that made these days of the orders again."""
    made = make_slices(project, project.catalog.get("orders"), partitions, run_id="a1b2")
    warnings = [f"cleaned.orders {s.partition}: {w}" for s in made.slices.values() for w in s.warnings]
    return RunSummary([WAVE], [made], [], warnings)


def test_nothing_to_do_is_one_line(project: Project) -> None:
    assert summary_text(project, RunSummary()) == "nothing to do: every table is up to date"


def test_what_stands_in_the_way_is_said_even_when_nothing_was_done(project: Project) -> None:
    assert summary_text(
        project, RunSummary(failed=["orders: contract changed"], warnings=["no file"])
    ).splitlines() == [
        "failed: orders: contract changed",
        "warning: no file",
    ]


def test_every_table_is_listed_with_what_there_is_and_what_was_made(project: Project) -> None:
    tables, _, _ = summary_text(project, ran(project, "2011-01-02")).partition("\n\n")
    listed = {line.split()[0]: line.split()[1:] for line in tables.splitlines()[3:]}
    assert listed["cleaned.orders"] == ["2", "3", "1", "0", "0"]
    assert listed["aggregate.daily_orders"] == ["2", "2", "0", "0", "0"]


def test_rules_that_did_not_pass_are_counted_and_not_listed_again_as_warnings(project: Project) -> None:
    text = summary_text(project, ran(project, "2011-01-01", "2011-01-02"))
    assert "Quality: " in text
    assert "  orders  order_amount:minimum  quarantined       1     1\n" in text
    assert "warning:" not in text


def test_quarantined_rows_are_counted_by_reason(project: Project) -> None:
    text = summary_text(project, ran(project, "2011-01-02"))
    assert "  cleaned.orders  order_amount:minimum     1  row kept out\n" in text
    assert "  cleaned.orders  order_amount:minimum     1  slice not published\n" in text


def test_the_last_days_headline_numbers_are_those_of_tagged_tables(project: Project) -> None:
    text = summary_text(project, ran(project, "2011-01-02"))
    assert "aggregate.daily_orders on 2011-01-02\n" in text
    assert "  total_amount  0.250  GBP\n" in text


def test_without_such_a_table_there_are_no_headlines(project: Project) -> None:
    contracts = tuple(replace(contract, tags=()) for contract in project.catalog)
    text = summary_text(
        replace(project, catalog=replace(project.catalog, contracts=contracts)), ran(project, "2011-01-02")
    )
    assert "aggregate.daily_orders on" not in text
    assert "dataplatform query" not in text


def test_it_ends_with_what_to_do_next(project: Project) -> None:
    project.settings.reports_dir.mkdir(parents=True)
    page = project.settings.reports_dir / "sales.html"
    page.touch()
    text = summary_text(project, ran(project, "2011-01-02"))
    assert text.splitlines()[-3].startswith("next: dataplatform up ")
    assert text.endswith(f"      open {page}")


def test_after_a_failure_the_next_step_is_to_put_it_right(project: Project) -> None:
    summary = replace(ran(project, "2011-01-02"), failed=["cleaned.orders 2011-01-02: broken"])
    text = summary_text(project, summary)
    assert "failed: cleaned.orders 2011-01-02: broken\nnext: put right what is named above" in text


def test_many_failures_are_cut_and_counted(project: Project) -> None:
    text = summary_text(project, RunSummary(failed=[f"f{number}" for number in range(40)]))
    assert text.splitlines()[-1] == "failed: and 28 more like these; the runs in Dagster's UI have them all"


def test_a_repaired_record_is_told(project: Project) -> None:
    assert summary_text(project, RunSummary(reconciled=2)).splitlines() == [
        "nothing to do: every table is up to date",
        "Dagster did not know 2 published slices; it does now",
    ]
