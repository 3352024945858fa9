"""A table can be read as it was at a version, or as a run left it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from dataplatform.errors import PermanentError, UnknownNameError
from dataplatform.serving.time_travel import table_at
from dataplatform_tests.published import DAYS, PublishedLake, sale_rows


@pytest.fixture
def lake(tmp_path: Path) -> PublishedLake:
    return PublishedLake(tmp_path)


def total(lake: PublishedLake, *, version: int | None = None, run: str | None = None) -> Decimal:
    found = table_at(lake.settings, lake.project.catalog, "fact_sales", version=version, run=run)
    return sum((Decimal(row["net_amount"]) for row in found.to_pylist()), Decimal(0))


def test_a_table_is_read_at_a_version_by_a_run_or_now(lake: PublishedLake) -> None:
    first = lake.publish("fact_sales", sale_rows(DAYS[0]), [DAYS[0]])
    lake.publish("fact_sales", sale_rows(DAYS[0], "9.000"), [DAYS[0]])
    assert (total(lake, version=first), total(lake)) == (Decimal("3.000"), Decimal("18.000"))
    assert total(lake, run="run-fact_sales") == Decimal("18.000")


def test_columns_are_those_of_the_contract(lake: PublishedLake) -> None:
    lake.publish("fact_sales", sale_rows(DAYS[0]), [DAYS[0]])
    found = table_at(lake.settings, lake.project.catalog, "dimensional.fact_sales", version=1)
    assert tuple(found.column_names) == lake.project.catalog.get("fact_sales").column_names


def test_a_table_that_was_never_published_is_empty_now_and_has_no_versions(lake: PublishedLake) -> None:
    assert total(lake) == 0
    with pytest.raises(PermanentError, match=r"dimensional\.fact_sales has never been published; it has no version 3"):
        total(lake, version=3)


def test_a_version_that_is_not_there_names_the_newest(lake: PublishedLake) -> None:
    newest = lake.publish("fact_sales", sale_rows(DAYS[0]), [DAYS[0]])
    with pytest.raises(PermanentError, match=rf"fact_sales has no version 99; its newest is {newest}"):
        total(lake, version=99)


def test_a_run_that_published_nothing_there_is_named(lake: PublishedLake) -> None:
    lake.publish("fact_sales", sale_rows(DAYS[0]), [DAYS[0]])
    with pytest.raises(PermanentError, match="no version was published by run 'other'"):
        total(lake, run="other")


def test_a_wrong_table_gets_the_nearest_names(lake: PublishedLake) -> None:
    with pytest.raises(UnknownNameError, match="did you mean fact_sales"):
        table_at(lake.settings, lake.project.catalog, "fact_sale")
