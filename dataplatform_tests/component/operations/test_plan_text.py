"""Plans, and days and partitions as people name them."""

from __future__ import annotations

import pytest

from dataplatform.operations.partitions import PartitionError, checked_partition, checked_range
from dataplatform.operations.plan_text import never_possible, plan_text, rebuild_text
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import shop
from dataplatform_tests.component.operations.conftest import TABLES


def lines(project: Project) -> list[list[str]]:
    """The plan for everything but deliveries, in words."""
    return [line.split() for line in plan_text(project, make_plan(project, select=TABLES)).splitlines()]


def test_equal_reasons_are_one_line_with_ranges(project: Project) -> None:
    shop.deliver(project, "2011-01-02", [("3", "7", "UK", "1"), ("4", "8", "FR", "2")])
    shop.deliver(project, "2011-01-04", [("8", "8", "FR", "2")])
    text = plan_text(project, make_plan(project, select=["orders"]))
    assert text.splitlines()[0] == "3 slices of 1 table would be made"
    assert [line.split() for line in text.splitlines()[3:-1]] == [
        ["cleaned.orders", "1", "2011-01-02", "raw_shop_orders", "changed", "certainly"],
        ["cleaned.orders", "2", "2011-01-03..2011-01-04", "never", "published", "certainly"],
    ]
    assert text.splitlines()[-1] == (
        "the first run makes cleaned.orders for 2011-01-02..2011-01-04; what follows is planned again then"
    )


def test_what_depends_on_others_is_told_from_what_is_certain(project: Project) -> None:
    shop.deliver(project, "2011-01-02", [("3", "7", "UK", "1"), ("4", "8", "FR", "2")])
    found = [" ".join(line) for line in lines(project)]
    assert any(
        line.startswith("aggregate.daily_orders") and line.endswith("if what it reads comes out different")
        for line in found
    )


def test_nothing_to_do_is_one_line(project: Project) -> None:
    plan = make_plan(project, select=["dim_buyer"])
    assert plan_text(project, plan) == "nothing to do: everything that can be made is up to date"


def test_missing_files_and_refused_contracts_are_named(project: Project) -> None:
    contract = project.settings.tables_dir / "dimensional" / "fact_orders.yaml"
    text = contract.read_text(encoding="utf-8").replace("BIGINT", "INTEGER")
    contract.write_text(text, encoding="utf-8")
    changed = shop.reload(project)
    text = plan_text(changed, make_plan(changed))
    assert "warning: raw.raw_shop_orders: no file on 7 open days: 2011-01-04..2011-01-10\n" in text
    assert text.splitlines()[-1] == (
        "refused: dimensional.fact_orders: its contract changed on published rows (column buyer_key was BIGINT and is "
        "INTEGER); run `dataplatform rebuild fact_orders --yes` (waiting for it: daily_orders)"
    )


def test_a_selected_table_that_waits_for_its_inputs_says_so(project: Project) -> None:
    elsewhere = project.settings.model_dump() | {"data_dir": project.settings.data_dir.parent / "other"}
    other = Project.load(Settings.load(**elsewhere))
    assert list(never_possible(other, ["daily_orders"])) == [
        "aggregate.daily_orders waits for dimensional.fact_orders: make both with --select +daily_orders"
    ]
    assert list(never_possible(project, ["daily_orders"])) == []


def test_a_rebuild_says_what_it_rewrites_and_what_follows(project: Project) -> None:
    what = "2 published slices with 3 rows would be made again and replaced, rows and schema, in one commit"
    assert rebuild_text(project, project.catalog.get("fact_orders")).splitlines() == [
        f"dimensional.fact_orders: {what}",
        "contract against what is published: no change of shape",
        "stale after that, where rows change: daily_orders",
    ]


def test_days_bound_a_run(project: Project) -> None:
    assert checked_range(project, None, None) == ("", "9999")
    assert checked_range(project, "2011-01-02", "2011-01-03") == ("2011-01-02", "2011-01-03")


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("02.01.2011", None, "--from '02.01.2011' is not a day; write one such as 2011-01-10"),
        (None, "2011-02-30", "--to '2011-02-30' is not a day; write one such as 2011-01-10"),
        ("2011-01-05", "2011-01-04", "--from 2011-01-05 is after --to 2011-01-04; no day lies between them"),
        ("2012-01-01", None, "the business days go from 2011-01-01 to 2011-01-10; none of them was asked for"),
    ],
)
def test_a_wrong_range_names_the_expected_form(
    project: Project, first: str | None, last: str | None, message: str
) -> None:
    with pytest.raises(PartitionError) as refusal:
        checked_range(project, first, last)
    assert str(refusal.value) == message
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        (
            "orders",
            "2011-1-1",
            "cleaned.orders has no partition '2011-1-1'; write a day from 2011-01-01 to 2011-01-10, such as 2011-01-10",
        ),
        (
            "dim_buyer",
            "2011-01-01",
            "dimensional.dim_buyer has no partitions; its one slice is called all, not '2011-01-01'",
        ),
    ],
)
def test_a_wrong_partition_names_the_expected_form(project: Project, table: str, name: str, message: str) -> None:
    with pytest.raises(PartitionError) as refusal:
        checked_partition(project, project.catalog.get(table), name)
    assert str(refusal.value) == message
