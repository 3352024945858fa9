"""The page about idioms says what the lint says."""

from __future__ import annotations

import re
from pathlib import Path

from dataplatform.engines.idioms import BUILTINS, IDIOMS
from dataplatform.engines.sql_tables import FUNCTIONS

PAGE = (Path(__file__).parents[3] / "docs" / "idioms.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_page_lists_exactly_the_idioms_of_the_lint() -> None:
    rows = [line for line in _section("Refused in Ibis functions").splitlines() if line.startswith("| ")][1:]
    shown = [tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]) for row in rows]
    assert shown == [(idiom.name, idiom.why, idiom.instead) for idiom in IDIOMS]


def test_the_page_lists_exactly_the_functions_that_sql_tables_may_call() -> None:
    listed = _section("`.sql` tables").split("Functions:\n", 1)[1].split("and the functions", 1)[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(FUNCTIONS.values())


def test_the_page_lists_exactly_the_functions_that_may_be_called_by_name() -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("Functions may be called by name")]
    assert set(re.findall(r"`(\w+)`", line)) == BUILTINS
