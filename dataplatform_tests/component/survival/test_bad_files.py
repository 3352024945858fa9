"""Files that are not as agreed, from landing to aggregate: which are refused, which accepted, and what each leaves."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.operations.run import RunSummary
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.small_ledger import HEADER, content, lines, load, outcomes, run, text, write
from dataplatform_tests.small_shop import verdicts

pytestmark = pytest.mark.xdist_group("bad files")
RAW = "raw_ledger_sales_lines"
LAYERS = (RAW, "sales_lines", "fact_sales", "daily_sales")


def day(number: int) -> str:
    return f"2011-01-{number:02d}"


def truncated(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)[:-12]


def write_two(project: Project, name: str) -> None:
    write(project, f"{name}.csv", content(name))
    write(project, f"{name}-again.csv", content(name, 4))


def write_link(project: Project, name: str) -> None:
    outside = project.settings.landing_folder.parent / "outside.csv"
    outside.write_bytes(content(name, 5))
    path = write(project, name, b"")
    path.unlink()
    path.symlink_to(outside)


def replaced(project: Project, name: str, data: bytes, ending: str = "csv") -> None:
    for path in (project.settings.landing_folder / "sales").glob(f"{name}*"):
        path.unlink()
    write(project, f"{name}.{ending}", data)


REFUSED: dict[str, tuple[str, Callable[[Project, str], object]]] = {
    day(4): ("empty_file", lambda p, d: replaced(p, d, b"")),
    day(5): ("truncated_gzip", lambda p, d: replaced(p, d, truncated(content(d, 4)), "csv.gz")),
    day(6): ("not_decodable", lambda p, d: replaced(p, d, text(lines(d, Description="CAFÉ")).encode("latin-1"))),
    day(7): ("wrong_delimiter", lambda p, d: replaced(p, d, text(lines(d, 4), delimiter=";").encode())),
    day(9): ("missing_column", lambda p, d: replaced(p, d, text(lines(d, 4), HEADER[:-1]).encode())),
    day(10): (
        "missing_column",
        lambda p, d: replaced(p, d, content(d, 4).replace(b"Quantity", b"Qty")),
    ),
    day(11): ("different_files", write_two),
    day(12): ("outside_landing", write_link),
}
CORRECTED, NEW, UNTOUCHED, GONE, EMPTIED = day(13), day(14), day(16), day(17), day(18)
ACCEPTED: dict[str, tuple[str, bytes]] = {
    day(19): ("bom", codecs.BOM_UTF8 + content(day(19))),
    day(20): ("utf16", text(lines(day(20))).encode("utf-16")),
    day(21): ("added_columns", text([{**each, "Till": "7"} for each in lines(day(21))], (*HEADER, "Till")).encode()),
    day(23): ("identical_duplicate", content(day(23))),
    day(24): ("no_rows", text([]).encode()),
}
MISSING, REORDERED = day(25), day(26)
CLOSED, DELIVERED_ON_CLOSED = day(8), day(15)
LAST = day(26)


@dataclass
class Story:
    """A shop after sound files, after bad ones, and after the same again, with what was published at each point."""

    project: Project
    summaries: list[RunSummary] = field(default_factory=list)
    published: list[dict[str, dict[str, list[Any]]]] = field(default_factory=list)

    def goes_on(self, instance: dg.DagsterInstance) -> None:
        self.summaries.append(run(self.project, instance))
        self.published.append({table: by_day(self.project, table) for table in LAYERS})


def by_day(project: Project, table: str) -> dict[str, list[Any]]:
    """The published rows of each day; an empty list for a day that was published without rows."""
    contract = project.catalog.get(table)
    column = contract.column_names.index(contract.partition_column or "")
    found: dict[str, list[Any]] = {name: [] for name in project.lake.table(contract).open().state.slices}
    for row in shop.rows(project, table):
        found[row[column].isoformat()].append(row)
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    told = Story(load(tmp_path_factory.mktemp("ledger"), day(4), LAST))
    with dg.DagsterInstance.ephemeral() as instance:
        for name in (*REFUSED, CORRECTED, UNTOUCHED, GONE, EMPTIED):
            write(told.project, name, content(name))
        told.goes_on(instance)
        bring_bad_files(told.project)
        told.goes_on(instance)
        told.goes_on(instance)
        for name in REFUSED:
            replaced(told.project, name, content(name, 2))
        told.goes_on(instance)
    return told


def bring_bad_files(project: Project) -> None:
    for name, (_, spoil) in REFUSED.items():
        spoil(project, name)
    for name, (_, data) in ACCEPTED.items():
        write(project, name, data)
    write(project, f"{day(23)}-copy.csv", content(day(23)))
    write(project, CORRECTED, content(CORRECTED, Price="2.5"))
    write(project, NEW, content(NEW))
    write(project, DELIVERED_ON_CLOSED, content(DELIVERED_ON_CLOSED))
    write(project, EMPTIED, text([]).encode())
    write(project, REORDERED, text(lines(REORDERED), HEADER[::-1]).encode())
    (project.settings.landing_folder / "sales" / f"{GONE}.csv").unlink()


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_leaves_the_old_rows_and_its_reason_is_named(story: Story, name: str) -> None:
    reason = REFUSED[name][0]
    outcome = outcomes(story.summaries[1], RAW)[name]
    assert outcome.status == "refused"
    assert outcome.problems[0].startswith(f"{reason}: sales/{name}")
    assert [line for line in story.summaries[1].failed if line.startswith(f"raw.{RAW} {name}: {reason}: ")]
    for table in LAYERS:
        assert story.published[1][table][name] == story.published[0][table][name] != []


def test_refused_files_make_the_run_red_until_they_are_right(story: Story) -> None:
    assert [summary.exit_code for summary in story.summaries] == [0, 1, 1, 0]
    assert len(story.summaries[1].failed) == len(story.summaries[2].failed) == len(REFUSED)


def test_the_other_days_go_on_beside_refused_files(story: Story) -> None:
    for table in LAYERS:
        assert len(story.published[1][table][NEW]) > 0
        assert story.published[1][table][CORRECTED] != story.published[0][table][CORRECTED]


def test_a_right_file_in_the_place_of_a_refused_one_is_read(story: Story) -> None:
    for name in REFUSED:
        assert len(story.published[3][RAW][name]) == 2
        assert story.published[3]["daily_sales"][name] != story.published[0]["daily_sales"][name]


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_unusual_is_accepted_with_a_warning(story: Story, name: str) -> None:
    notice = ACCEPTED[name][0]
    outcome = outcomes(story.summaries[1], RAW)[name]
    assert (outcome.status, outcome.problems) == ("published", ())
    assert [warning for warning in outcome.warnings if warning.startswith(f"{notice}: ")]
    assert any(f"raw.{RAW} {name}: {notice}: " in warning for warning in story.summaries[1].warnings)
    assert (RAW, name, "delivery:as_agreed", "warned") in [row[:4] for row in verdicts(story.project)]
    assert len(story.published[1]["sales_lines"][name]) == (0 if notice == "no_rows" else 3)


def test_an_added_column_is_kept_as_it_came(story: Story) -> None:
    position = story.project.catalog.get(RAW).column_names.index("extra_columns")
    assert [json.loads(row[position]) for row in story.published[1][RAW][day(21)]] == [{"Till": "7"}] * 3


def test_columns_in_another_order_are_read_by_name_silently(story: Story) -> None:
    outcome = outcomes(story.summaries[1], RAW)[REORDERED]
    assert (outcome.status, outcome.warnings) == ("published", ())
    assert [row[1] for row in story.published[1]["sales_lines"][REORDERED]] == [f"sales/{REORDERED}.csv"] * 3


def test_an_open_day_without_a_file_stays_unpublished_with_a_warning(story: Story) -> None:
    assert [each for each in story.summaries[1].warnings if "file_missing" in each and MISSING in each]
    assert all(MISSING not in published[RAW] for published in story.published)


def test_a_closed_day_publishes_no_rows(story: Story) -> None:
    for published in story.published:
        assert published[RAW][CLOSED] == []
        assert published["daily_sales"][CLOSED] == []


def test_a_file_for_a_closed_day_is_read(story: Story) -> None:
    assert story.published[0][RAW][DELIVERED_ON_CLOSED] == []
    assert len(story.published[1]["sales_lines"][DELIVERED_ON_CLOSED]) == 3


def test_a_file_that_vanished_changes_nothing(story: Story) -> None:
    assert GONE not in outcomes(story.summaries[1], RAW)
    for table in LAYERS:
        assert story.published[1][table][GONE] == story.published[0][table][GONE] != []


def test_a_file_with_a_header_alone_does_not_erase_a_day(story: Story) -> None:
    outcome = outcomes(story.summaries[1], RAW)[EMPTIED]
    assert outcome.problems == ()
    assert any(warning.startswith("nothing was delivered, 3 published rows stay") for warning in outcome.warnings)
    for table in LAYERS:
        assert story.published[3][table][EMPTIED] == story.published[0][table][EMPTIED] != []


def test_a_corrected_file_makes_its_day_and_what_it_changes_and_nothing_else(story: Story) -> None:
    assert UNTOUCHED not in outcomes(story.summaries[1], RAW)
    changed = {*REFUSED, CORRECTED, NEW, DELIVERED_ON_CLOSED, EMPTIED, REORDERED, *ACCEPTED}
    assert set(outcomes(story.summaries[1], RAW)) == changed
    made = changed - {*REFUSED, EMPTIED}
    for table in LAYERS[1:]:
        assert set(outcomes(story.summaries[1], table)) == made
    assert set(outcomes(story.summaries[3], "fact_sales")) == set(REFUSED)


def test_bad_files_that_are_still_there_are_all_that_is_tried_again(story: Story) -> None:
    tried = {outcome.table: set(outcome.slices) for outcome in story.summaries[2].outcomes}
    assert set(tried) == {RAW}
    assert set(outcomes(story.summaries[2], RAW)) - set(REFUSED) <= {EMPTIED}
    assert story.published[2] == story.published[1]


def test_dates_are_those_of_the_story(tmp_path: Path) -> None:
    """The calendar that the days above lean on."""
    project = load(tmp_path, day(4), LAST)
    source = project.source(project.catalog.get(RAW))
    assert [name for name in project.days if source.is_closed(name)] == [CLOSED, DELIVERED_ON_CLOSED, day(22)]
