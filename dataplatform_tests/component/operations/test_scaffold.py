"""New tables, ready to edit: what is written loads, binds and builds."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.naming import naming_problems
from dataplatform.errors import ContractError, UnknownNameError
from dataplatform.operations.scaffold import NewTableError, new_table, next_step
from dataplatform.operations.scaffold_text import Kind
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import shop
from dataplatform_tests.factory import TableFactory

FIRST, SECOND = date(2011, 1, 1), date(2011, 1, 2)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with two published days."""
    folder = tmp_path_factory.mktemp("shop")
    shop.shop_tables(folder)
    project = shop.load(folder)
    shop.deliver(project, "2011-01-01", [("1", "7", "UK", "3.5"), ("2", "8", "FR", "4")])
    shop.deliver(project, "2011-01-02", [("3", "7", "UK", "0.25")])
    shop.settle(project, select=["orders", "dim_buyer", "fact_orders"])
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return shop.load(tmp_path)


def build(project: Project, layer: str, name: str, kind: Kind = "ibis") -> list[tuple[Any, ...]]:
    """The rows of a new table after the one command that builds it."""
    new_table(project.settings, layer, name, kind)
    made = shop.reload(project)
    assert naming_problems(made.catalog.get(name)) == []
    shop.settle(made, select=[name])
    return shop.rows(made, name)


@pytest.mark.parametrize("kind", ["ibis", "sql", "pandas"])
def test_a_daily_aggregate_counts_the_rows_of_each_day(project: Project, kind: Kind) -> None:
    assert build(project, "aggregate", "daily_things", kind) == [(FIRST, 2), (SECOND, 1)]


@pytest.mark.parametrize("kind", ["ibis", "sql", "pandas"])
def test_a_monthly_aggregate_counts_the_rows_of_each_month(project: Project, kind: Kind) -> None:
    assert build(project, "aggregate", "monthly_things", kind) == [(FIRST, 3)]


@pytest.mark.parametrize("kind", ["ibis", "sql", "pandas"])
def test_another_aggregate_counts_the_rows_of_each_member(project: Project, kind: Kind) -> None:
    assert build(project, "aggregate", "order_metrics", kind) == [("1", 1), ("2", 1), ("3", 1)]


@pytest.mark.parametrize("kind", ["ibis", "sql", "pandas"])
def test_a_fact_takes_rows_over_from_the_cleaned_layer(project: Project, kind: Kind) -> None:
    assert [row[0] for row in build(project, "dimensional", "fact_things", kind)] == ["1", "2", "3"]


@pytest.mark.parametrize("kind", ["ibis", "sql", "pandas"])
def test_a_cleaned_table_takes_rows_over_from_the_raw_layer(project: Project, kind: Kind) -> None:
    assert [row[0] for row in build(project, "cleaned", "things", kind)] == ["1", "2", "3"]


def test_a_dimension_has_a_key_per_member_and_the_unknown_one(project: Project) -> None:
    found = build(project, "dimensional", "dim_buyer_group")
    assert sorted(member for _, member in found if member) == ["7", "8"]
    assert (0, None) in found
    assert shop.reload(project).catalog.get("dim_buyer_group").dimension is not None


def test_privacy_is_taken_over_with_a_column(project: Project) -> None:
    new_table(project.settings, "dimensional", "dim_buyer_group")
    assert shop.reload(project).catalog.get("dim_buyer_group").private_columns == {"buyer_id"}


def test_a_raw_table_waits_for_its_deliveries(project: Project) -> None:
    paths = new_table(project.settings, "raw", "raw_shop_returns")
    assert [path.name for path in paths] == ["raw_shop_returns.yaml"]
    folder = project.settings.landing_folder / "returns"
    assert next_step(project.settings, paths) == (
        f"edit it; deliver {folder}/2011-01-01.csv with the header id,text; "
        "build it with: dataplatform run --select raw_shop_returns"
    )
    folder.mkdir(parents=True)
    (folder / "2011-01-01.csv").write_text("id,text\n1,hello\n", encoding="utf-8")
    made = shop.reload(project)
    shop.settle(made, select=["raw_shop_returns"])
    assert shop.rows(made, "raw_shop_returns", "id", "text", "line_number") == [("1", "hello", 1)]


def test_the_next_step_of_a_table_builds_it(project: Project) -> None:
    paths = new_table(project.settings, "aggregate", "daily_things")
    assert next_step(project.settings, paths) == "edit them; build it with: dataplatform run --select daily_things"


@pytest.mark.parametrize(
    ("layer", "name", "kind", "message"),
    [
        ("aggregate", "Daily", "ibis", "aggregate.Daily: aggregate tables are called <grain>_<subject>"),
        ("raw", "orders", "ibis", "raw.orders: raw tables are called raw_<source>_<entity>"),
        ("cleaned", "orders", "ibis", "there is a table cleaned.orders already; names are unique across layers"),
        ("dimensional", "dim_x", "sql", "dim_x: keys of dimensions are made by an Ibis helper; leave out --sql"),
        ("raw", "raw_a_b", "pandas", "raw_a_b: a raw table has a source and no function; leave out --pandas"),
    ],
)
def test_refused(project: Project, layer: str, name: str, kind: Kind, message: str) -> None:
    before = sorted(project.settings.tables_dir.rglob("*"))
    with pytest.raises(NewTableError) as refusal:
        new_table(project.settings, layer, name, kind)
    assert str(refusal.value) == message
    assert sorted(project.settings.tables_dir.rglob("*")) == before


def test_an_unknown_layer_gets_the_nearest_name(project: Project) -> None:
    with pytest.raises(UnknownNameError, match="no layer called 'agregate'; did you mean aggregate"):
        new_table(project.settings, "agregate", "daily_things")


def test_a_layer_with_nothing_below_it_is_told_what_to_make_first(tmp_path: Path) -> None:
    TableFactory(tmp_path).add("raw", "raw_a_b", {"x": "VARCHAR"})
    settings = Settings.load(data_dir=tmp_path / "data", tables=tmp_path / "tables")
    with pytest.raises(NewTableError, match="no layer below aggregate has a table partitioned by day to begin with"):
        new_table(settings, "aggregate", "daily_things")


def test_a_function_that_is_there_is_not_overwritten_and_nothing_stays(project: Project) -> None:
    stray = project.settings.tables_dir / "aggregate" / "daily_things.py"
    stray.write_text("# somebody's\n", encoding="utf-8")
    with pytest.raises((NewTableError, ContractError)):
        new_table(project.settings, "aggregate", "daily_things")
    assert stray.read_text(encoding="utf-8") == "# somebody's\n"
    assert not stray.with_suffix(".yaml").exists()
