"""Whatever came when, again or corrected, and whenever anything was made: the tables are those of one clean build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplatform.lake.records import FOLDER
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import shop
from dataplatform_tests.small_shop import published, quarantine

DAYS = [f"2011-01-0{number}" for number in range(1, 5)]
MADE = ("orders", "dim_buyer", "fact_orders", "daily_orders")
Lines = tuple[tuple[str, str, str], ...]
Event = tuple[str, Any]

good = st.tuples(st.sampled_from("789"), st.sampled_from(["UK", "FR"]), st.sampled_from(["1", "2.5", "0.125"]))
bad = st.tuples(st.sampled_from("789"), st.just("UK"), st.sampled_from(["x", "-1"]))
# a day with more bad orders than good ones is not published, and then keeps what it had: that is another law
lines = st.builds(lambda some, more: (*some, *more), st.lists(good, min_size=1, max_size=3), st.lists(bad, max_size=1))


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Lines], list[Event]]:
    """What each day is in the end, and the events on the way: deliveries, making some tables, losing a record."""
    versions = {day: draw(st.lists(lines, min_size=1, max_size=3)) for day in DAYS}
    events: list[Event] = [("deliver", (day, each)) for day in DAYS for each in versions[day]]
    order = draw(st.permutations(events))
    # within a day versions come as they were written; which day comes when is free, and each may come again
    turns = {day: iter(versions[day]) for day in DAYS}
    told: list[Event] = []
    for _, (day, _) in order:
        delivery: Event = ("deliver", (day, next(turns[day])))
        told += [delivery] * draw(st.integers(1, 2))
        told += draw(st.lists(st.one_of(makings, losses), max_size=1))
    return {day: versions[day][-1] for day in DAYS}, told


makings = st.tuples(st.just("make"), st.one_of(st.none(), st.sets(st.sampled_from(MADE), min_size=1)))
losses = st.tuples(st.just("lose"), st.tuples(st.sampled_from(("raw_shop_orders", *MADE)), st.integers(0, 9)))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("tables")
    shop.shop_tables(folder)
    return shop.load(folder)


def elsewhere(project: Project, folder: Path) -> Project:
    """The same tables over a data folder of their own."""
    folder.mkdir()
    values = {name: getattr(project.settings, name) for name in Settings.model_fields}
    return replace(project, settings=Settings.load(**{**values, "data_dir": folder}))


def deliver(project: Project, day: str, orders: Sequence[tuple[str, str, str]]) -> None:
    shop.deliver(project, day, [(f"{day[-1]}{number}", *order) for number, order in enumerate(orders)])


def tell(project: Project, event: Event) -> None:
    kind, what = event
    if kind == "deliver":
        deliver(project, *what)
    elif kind == "make":
        shop.settle(project, select=None if what is None else sorted(what))
    else:
        table, number = what
        records = sorted((project.lake.table(project.catalog.get(table)).folder / FOLDER).glob("*.json"))
        if records:
            records[number % len(records)].unlink()


def state(project: Project) -> dict[str, Any]:
    shop.settle(project)
    assert [(slice_.table, slice_.partition) for slice_ in make_plan(project).slices()] == []
    return {"rows": published(project), "quarantine": quarantine(project)}


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_any_history_gives_the_tables_of_one_clean_build(
    loaded: Project, tmp_path_factory: pytest.TempPathFactory, history: tuple[dict[str, Lines], list[Event]]
) -> None:
    final, events = history
    folder = tmp_path_factory.mktemp("history")
    clean = elsewhere(loaded, folder / "clean")
    for day, orders in final.items():
        deliver(clean, day, orders)
    lived = elsewhere(loaded, folder / "lived")
    for event in events:
        tell(lived, event)
    assert state(lived) == state(clean)
