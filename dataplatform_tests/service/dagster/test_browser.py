"""What a person does and sees in Dagster's UI, in a real browser: the graph, a launch, a green check, a red one.

Screenshots stay in `$TEST_ARTEFACTS` (default `.artefacts/` of the checkout); one of them illustrates the README.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from dataplatform.settings import CHECKOUT
from dataplatform_tests.service.dagster.ledger_week import DAYS, SECONDS
from dataplatform_tests.service.dagster.served import Served, until
from dataplatform_tests.services import require

pytestmark = pytest.mark.xdist_group("ledger week")

ARTEFACTS = Path(os.environ.get("TEST_ARTEFACTS", CHECKOUT / ".artefacts"))
CLOSED_OFF = [  # a browser that asks nothing outside this machine, as root and without a screen
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LAYERS = ("raw", "cleaned", "dimensional", "aggregate")
NEWEST_RUN = "{ runsOrError(limit: 1) { ... on Runs { results { runId status } } } }"
LAST = DAYS[-1]


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Page]:
    """A window on the running UI. Every wait is for something to be seen, with one patience for all."""
    program = require("chromium")
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CLOSED_OFF)
        window = browser.new_page(viewport={"width": 1400, "height": 800}, base_url=f"http://127.0.0.1:{served.port}")
        window.set_default_timeout(SECONDS * 1000)
        yield window
        browser.close()


def keep(page: Page, name: str) -> None:
    """A screenshot that stays after the tests."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def newest_run(served: Served) -> tuple[str, str]:
    (run,) = served.ask(NEWEST_RUN)["runsOrError"]["results"]
    return run["runId"], run["status"]


def launch(page: Page, served: Served, table: str, partition: str) -> str:
    """Launches one partition as a person would, from the table's page; how its run ended."""
    before = newest_run(served)[0]
    page.goto(f"/assets/{table}?view=checks")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_placeholder(DAYS[0]).fill(partition)
    page.get_by_placeholder(DAYS[0]).press("Tab")
    page.get_by_role("button", name="Launch").last.click()

    def ended() -> str | None:
        run_id, status = newest_run(served)
        return status if run_id != before and status in ("SUCCESS", "FAILURE") else None

    return until(f"the run of {table} {partition}", ended)


def look_at_check(page: Page, table: str, check: str) -> None:
    page.goto(f"/assets/{table}?view=checks&checkDetail={check}")
    expect(page.get_by_text("Latest execution", exact=True)).to_be_visible()


def test_the_graph_shows_the_four_layers(page: Page) -> None:
    page.goto("/asset-groups")
    for group in (*LAYERS, "serving"):
        expect(page.get_by_text(group, exact=True).last).to_be_visible()
    keep(page, "graph")


def test_a_partition_is_launched_and_is_green_with_its_checks(page: Page, served: Served) -> None:
    assert launch(page, served, "aggregate/daily_sales", LAST) == "SUCCESS"
    look_at_check(page, "aggregate/daily_sales", "rows")
    expect(page.get_by_text("every rule kept")).to_be_visible()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_text("net_is_gross_minus_cancelled")).to_be_visible()
    keep(page, "checks")


def test_a_delivery_that_cannot_be_read_is_red_with_its_reason_until_it_is_mended(page: Page, served: Served) -> None:
    table, file = "raw/raw_ledger_sales_lines", served.week.folder / "landing" / "sales" / f"{LAST}.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    try:
        assert launch(page, served, table, LAST) == "FAILURE"
        look_at_check(page, table, "delivery")
        keep(page, "refused")
        expect(page.get_by_text("truncated_gzip").first).to_be_visible()
        expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    finally:
        file.write_bytes(whole)
    assert launch(page, served, table, LAST) == "SUCCESS"
    look_at_check(page, table, "delivery")
    expect(page.get_by_text("every rule kept")).to_be_visible()


def test_the_lineage_of_a_table_is_drawn_with_its_neighbours(page: Page) -> None:
    page.goto("/assets/aggregate/daily_sales?view=lineage")
    for name in ("fact_sales", "daily_sales", "warehouse"):
        expect(page.get_by_text(name, exact=True).last).to_be_visible()
    keep(page, "lineage")
