"""Rows that cannot be what they should: each leaves for the quarantine with its reason, file and line, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from dataplatform.operations.run import RunSummary
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.small_ledger import line, lines, load, outcomes, run, text, write
from dataplatform_tests.small_shop import quarantine

pytestmark = pytest.mark.xdist_group("bad rows")
FULL, SPRING = "2011-03-25", "2011-03-27"
"""A day with every kind of bad row among many good ones, and the day on which clocks skip an hour."""
GOOD = 180
BAD: Mapping[str, tuple[Mapping[str, str], str]] = {
    "a thousands separator": ({"Price": "1,234.5"}, "unparseable:unit_price='1,234.5'"),
    "an exponent": ({"Price": "1e3"}, "unparseable:unit_price='1e3'"),
    "no number": ({"Price": "NaN"}, "unparseable:unit_price='NaN'"),
    "four decimals": ({"Price": "1.2345"}, "unparseable:unit_price='1.2345'"),
    "no price": ({"Price": ""}, "unparseable:unit_price=''"),
    "a fraction of a unit": ({"Quantity": "1.5"}, "unparseable:quantity='1.5'"),
    "an integer out of range": ({"Quantity": "2147483648"}, "out_of_range:quantity='2147483648'"),
    "a price out of range": ({"Price": "1234567890123456"}, "out_of_range:unit_price='1234567890123456'"),
    "another date format": ({"InvoiceDate": "25/03/2011 10:00"}, "unparseable:sold_at='25/03/2011 10:00'"),
    "a day that does not exist": (
        {"InvoiceDate": "2011-02-30 10:00:00"},
        "unparseable:sold_at='2011-02-30 10:00:00'",
    ),
    "another day": ({"InvoiceDate": "2011-03-24 10:00:00"}, "not_of_this_day:sold_at='2011-03-24 10:00:00'"),
    "the year 3000": ({"InvoiceDate": "3000-03-25 10:00:00"}, "not_of_this_day:sold_at='3000-03-25 10:00:00'"),
    "a customer that is no number": ({"CustomerID": "12346x"}, "unparseable:customer_id"),
    "nothing sold": ({"Description": "", "Price": "0", "CustomerID": ""}, "names_nothing_sold"),
}
SKIPPED_HOUR = f"{SPRING} 01:30:00"


@dataclass(frozen=True)
class Story:
    """What one run made of the two days, and the lines of the first day in the order of its file."""

    project: Project
    summary: RunSummary
    delivered: list[dict[str, str]]
    held: list[tuple[Any, ...]]

    def line_of(self, kind: str) -> int:
        """Where a bad line stands: bad ones are spread among the good ones."""
        return 1 + self.delivered.index(bad_line(kind))


def bad_line(kind: str) -> dict[str, str]:
    return line(FULL, 900 + list(BAD).index(kind), **BAD[kind][0])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    project = load(tmp_path_factory.mktemp("ledger"), FULL, SPRING)
    delivered = lines(FULL, GOOD)
    for number, kind in enumerate(BAD):
        delivered.insert(10 + 11 * number, bad_line(kind))
    delivered.append(line(FULL, 999, Description='6" "BLUE"\nMUG, LARGE'))
    write(project, FULL, text(delivered).encode() + b"1,2,3\n")
    spring = [*lines(SPRING, 20), line(SPRING, 77, InvoiceDate=SKIPPED_HOUR)]
    write(project, SPRING, text(spring).encode())
    with dg.DagsterInstance.ephemeral() as instance:
        summary = run(project, instance)
    return Story(project, summary, delivered, quarantine(project))


def held_at(story: Story, number: int) -> tuple[Any, ...]:
    """Table, partition, status, reasons and the row of the one line that is kept aside."""
    columns = story.project.catalog.get("sales_lines").column_names
    at = 4 + columns.index("line_number")
    (found,) = [row for row in story.held if row[0] == "sales_lines" and row[1] == FULL and row[at] == number]
    assert found[4 + columns.index("file_name")] == f"sales/{FULL}.csv"
    return found


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_quarantined_with_its_reason_file_and_line(story: Story, kind: str) -> None:
    _, partition, status, reasons, *_ = held_at(story, story.line_of(kind))
    assert (partition, status) == (FULL, "quarantined")
    # what could not be read is also missing where it is required
    assert [each for each in reasons if not each.endswith(":required: NULL")] == [BAD[kind][1]]


def test_a_local_time_that_does_not_exist_is_quarantined(story: Story) -> None:
    (found,) = [row for row in story.held if row[1] == SPRING]
    assert found[3] == [f"local_time_does_not_exist:sold_at='{SKIPPED_HOUR}'"]


def test_a_record_that_cannot_be_split_is_quarantined_by_the_raw_table(story: Story) -> None:
    (found,) = [row for row in story.held if row[0] == "raw_ledger_sales_lines"]
    assert "unreadable_record:too_few_fields: 3 instead of 8" in found[3]
    at = story.project.catalog.get("raw_ledger_sales_lines").column_names.index("line_number")
    assert found[4 + at] == len(story.delivered) + 1


def test_nothing_else_is_quarantined_and_every_row_is_somewhere(story: Story) -> None:
    assert len(story.held) == len(BAD) + 1 + 1
    outcome = outcomes(story.summary, "sales_lines")[FULL]
    assert (outcome.rows, outcome.quarantined) == (GOOD + 1, len(BAD))
    assert outcome.rows + outcome.quarantined == len(story.delivered)


def test_rows_with_quotes_and_newlines_in_their_text_are_fine(story: Story) -> None:
    descriptions = [row[0] for row in shop.rows(story.project, "sales_lines", "description")]
    assert '6" "BLUE" MUG, LARGE' in descriptions


def test_bad_rows_are_told_and_do_not_make_the_run_red(story: Story) -> None:
    assert story.summary.exit_code == 0
    told = "\n".join(story.summary.warnings)
    for code in ("unparseable", "out_of_range", "not_of_this_day", "local_time_does_not_exist", "names_nothing_sold"):
        assert code in told


def test_facts_are_made_of_the_rows_that_are_left(story: Story) -> None:
    assert outcomes(story.summary, "fact_sales")[FULL].rows == GOOD + 1
    assert outcomes(story.summary, "fact_sales")[SPRING].rows == 20
