"""A held table is skipped by runs, refused to everything else that would make it, and everybody is told so."""

from __future__ import annotations

import re
from collections.abc import Sequence

import dagster as dg
import pytest

from dataplatform.automation.requests import Requests
from dataplatform.operations.instance import open_instance
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.command import call
from dataplatform_tests.component.cli.conftest import deliver
from dataplatform_tests.in_dagster import failure, materialize

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
TOLD = r"cleaned\.orders is held since 2\S+ \(wrong prices\); nothing publishes it until `dataplatform release orders`"
CORRECTED = ["1,7,UK,9", "2,8,FR,4"]


def said(project: Project, *arguments: str, code: int = 0) -> str:
    result = call(project.settings, *arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def held(project: Project) -> Project:
    """`orders` is held, and what it is made from changes: a corrected day and a new one."""
    assert re.match(TOLD, said(project, "hold", "orders", "--reason", "wrong\n prices"))
    deliver(project, D1, *CORRECTED)
    deliver(project, D3, "5,7,UK,1")
    return project


def test_the_planner_skips_a_held_table_and_goes_on_with_the_rest(held: Project) -> None:
    plan = make_plan(held)
    assert set(plan.stale) == {"raw_shop_orders"}
    assert plan.held["orders"].hold.reason == "wrong prices"
    said(held, "run")
    plan = make_plan(held)
    assert (len(plan), plan.refused) == (0, {})
    assert plan.held["orders"].waiting == (D1, D3)
    assert len(shop.rows(held, "raw_shop_orders")) == 5
    assert len(shop.rows(held, "orders")) == 3


def test_a_run_and_a_dry_run_say_which_tables_are_held_why_and_what_waits(held: Project) -> None:
    dry = said(held, "run", "--dry-run")
    waiting = rf"{TOLD} \(waiting: 2 slices, 2011-01-01, 2011-01-03\)$"
    assert re.search(f"^{waiting}", dry, re.MULTILINE), dry
    before = shop.rows(held, "orders")
    made = said(held, "run")
    assert re.search(f"^warning: {waiting}", made, re.MULTILINE), made
    assert re.search(f"^warning: {waiting}", said(held, "run"), re.MULTILINE), "also when there is nothing to do"
    assert shop.rows(held, "orders") == before


@pytest.mark.parametrize("command", [("tables",), ("describe", "orders")])
def test_people_who_look_at_tables_are_told_of_a_hold(held: Project, command: Sequence[str]) -> None:
    assert re.search(rf"^{TOLD}$", said(held, *command), re.MULTILINE)
    said(held, "release", "orders")
    assert "held" not in said(held, *command)


REFUSED_COMMANDS = [("rebuild", "orders"), ("delete-partition", "orders", D1), ("quarantine", "replay", "orders")]


@pytest.mark.parametrize("yes", [(), ("--yes",)], ids=["dry", "yes"])
def test_every_command_that_would_change_a_held_table_is_refused(held: Project, yes: Sequence[str]) -> None:
    before = shop.rows(held, "orders")
    for command in REFUSED_COMMANDS:
        assert re.search(TOLD, said(held, *command, *yes, code=1))
    assert shop.rows(held, "orders") == before


def test_a_run_that_dagster_starts_does_not_make_a_held_table_either(held: Project) -> None:
    """As the UI, a backfill and `dagster asset materialize` do."""
    before = shop.rows(held, "orders")
    with open_instance(held.settings) as instance:
        result = materialize(held, instance, "raw_shop_orders orders", (D1, D3))
    assert not result.success
    assert re.match(TOLD, failure(result, "orders"))
    assert shop.rows(held, "orders") == before


def test_the_sensor_does_not_ask_for_a_held_table(held: Project) -> None:
    said(held, "run")
    with open_instance(held.settings) as instance:
        assert Requests(held).look(instance).requests == []


def test_the_ui_shows_a_hold_and_its_end_in_the_history_of_the_table(held: Project) -> None:
    said(held, "release", "orders")
    key = dg.AssetKey(["cleaned", "orders"])
    with open_instance(held.settings) as instance:
        records = instance.fetch_observations(key, limit=2).records
    observations = [record.event_log_entry.asset_observation for record in records]
    ended, began = (str(each.metadata["held"].value) for each in observations if each is not None)
    assert re.match(TOLD, began)
    assert ended == "released: what is stale is made again"


def test_a_released_table_is_made_by_the_next_run_and_nothing_is_missing(held: Project) -> None:
    said(held, "run")
    output = said(held, "release", "orders")
    assert output.startswith("cleaned.orders is released; it was held since 2")
    assert "`dataplatform run --dry-run` says what that is" in output
    assert sorted(make_plan(held).stale["orders"]) == [D1, D3]
    said(held, "run")
    assert len(make_plan(held)) == 0
    assert [str(row[0]) for row in shop.rows(held, "orders", "order_amount", "order_id")][-2:] == ["4.000", "9.000"]


def test_holding_twice_keeps_the_first_reason_and_releasing_what_is_not_held_says_so(held: Project) -> None:
    again = said(held, "hold", "orders", "--reason", "another")
    assert re.match(rf"{TOLD}; it was held already, and stays as it is", again)
    said(held, "release", "orders")
    assert "cleaned.orders is not held; there is nothing to release" in said(held, "release", "orders", code=1)
    assert "did you mean orders" in said(held, "hold", "order", code=2)


def test_a_held_table_whose_contract_changed_asks_for_a_rebuild_that_asks_for_the_release(held: Project) -> None:
    contract = held.settings.tables_dir / "cleaned" / "orders.yaml"
    contract.write_text(contract.read_text().replace("name: country", "name: land"))
    function = contract.with_suffix(".py")
    function.write_text(function.read_text().replace("country=t.country", "land=t.country"))
    for name in ("dim_buyer",):
        path = held.settings.tables_dir / "dimensional" / f"{name}.py"
        path.write_text(path.read_text().replace("orders.country", "orders.land"))
    plan = make_plan(shop.reload(held))
    assert set(plan.held) == set(plan.refused) == {"orders"}
    assert re.search(TOLD, said(held, "rebuild", "orders", "--yes", code=1))


def test_a_rollback_is_dry_until_it_is_asked_for_and_the_next_run_makes_what_reads_the_table(project: Project) -> None:
    before = {str(day): str(total) for day, _, total in shop.rows(project, "daily_orders")}
    deliver(project, D1, *CORRECTED)
    said(project, "run")
    dry = said(project, "rollback", "orders", "--to", "1")
    assert re.match(r"cleaned\.orders would have the rows of version 1 of \S+ by run \S+ again: 1 slice changed", dry)
    assert dry.endswith("nothing was done; do it with --yes\n")
    assert "is held" not in said(project, "tables")
    done = said(project, "rollback", "orders", "--to", "1", "--yes")
    assert re.match(r"cleaned\.orders has the rows of version 1 of \S+ by run \S+ again, in version 4: 1 slice", done)
    assert re.search(
        r"orders is held since \S+ \(rolled back to version 1 of .*\); nothing publishes", said(project, "run")
    )
    assert {str(day): str(total) for day, _, total in shop.rows(project, "daily_orders")} == before
    assert "cleaned.orders has no version 99; its newest is 4" in said(
        project, "rollback", "orders", "--to", "99", "--yes", code=1
    )


def test_a_tables_history_names_versions_runs_and_partitions_newest_first(project: Project) -> None:
    said(project, "hold", "orders")
    lines = said(project, "history", "orders").splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["2", "1", "0"]
    assert lines[2].endswith("no rows (set tblproperties)")
    assert lines[3].endswith("2011-01-01..2011-01-02 (2)")
    cut = said(project, "history", "orders", "--limit", "1").splitlines()
    assert cut[3:] == ["… and 2 older versions; see --limit"]


def test_a_query_reads_tables_as_they_were(project: Project) -> None:
    deliver(project, D1, *CORRECTED)
    said(project, "run")
    sql = "SELECT sum(order_amount) AS total FROM cleaned.orders"
    totals = [said(project, "query", "--format", "csv", *as_of, sql).split()[1] for as_of in ((), ("--as-of", "1"))]
    assert totals == ["13.250", "7.750"]
    assert "has no version of 1999-12-31 or before" in said(project, "query", "--as-of", "1999-12-31", sql, code=1)
