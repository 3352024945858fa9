"""The page on the platform's own tables names all their columns, and what it tells people to ask is answered."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from dataplatform.assets import source_schemas, tracking
from dataplatform.project import Project
from dataplatform.quality.history import results_schema
from dataplatform.serving.query import run_query
from dataplatform_tests import small_shop

PAGE = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
QUERIES = [
    query.strip()
    for block in re.findall(r"^```sql\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for query in block.split(";")
    if query.strip()
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A shop of which one day is blocked and another one has a quarantined row."""
    folder = tmp_path_factory.mktemp("ran")
    settings = small_shop.make_shop(folder)
    small_shop.deliver(folder, {small_shop.DAYS[1]: [("21", "8", "FR", "x"), ("22", "8", "FR", "y")]})
    small_shop.run(settings, code=1)
    return Project.load(settings)


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_page_is_answered(ran: Project, query: str) -> None:
    with run_query(ran.settings, ran.catalog, query) as answer:
        rows = [row for batch in answer.batches() for row in batch.to_pylist()]
    assert rows or any(text in query for text in ("2011-11-30", "quarantine_share", "as_before", "differs"))


@pytest.mark.parametrize(
    ("table", "schema"),
    [
        (tracking.FULL_NAME, tracking.schema()),
        (source_schemas.FULL_NAME, source_schemas.schema()),
        ("quality.rule_results", results_schema()),
    ],
)
def test_the_page_names_every_column(table: str, schema: pa.Schema) -> None:
    named = set(re.findall(r"`(\w+)`", SECTIONS[table]))
    assert set(schema.names) <= named


def test_the_page_names_every_column_of_what_is_worked_out(ran: Project) -> None:
    named = set(re.findall(r"`(\w+)`", SECTIONS["operations.reconciliation"]))
    with run_query(ran.settings, ran.catalog, "SELECT * FROM operations.reconciliation") as answer:
        assert set(answer.schema.names) <= named
