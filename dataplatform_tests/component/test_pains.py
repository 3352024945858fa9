"""The page on pains of Dagster's users names tests that are there, and what no other test shows is shown here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dataplatform.build import build_definitions
from dataplatform.errors import ContractError
from dataplatform.settings import CHECKOUT
from dataplatform_tests.factory import TableFactory
from dataplatform_tests.in_dagster import checks, drop, materialize
from dataplatform_tests.shop import load, rows, shop_tables

PAGE = (CHECKOUT / "docs" / "pains.md").read_text(encoding="utf-8")
ALL = range(1, 21)
D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"


def pains() -> dict[int, list[str]]:
    """Number -> pain, state, how, what is not."""
    found = re.findall(r"^\| (\d+) \| (.+) \| (solved|in part|not) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    return {int(number): cells for number, *cells in found}


def shown() -> list[tuple[int, str, str]]:
    """Number, file and name of every test that the page names."""
    found = re.findall(r"^\| (\d+) \| \[(\S+)\]\(\.\./dataplatform_tests/\2\) \| `(\w+)` \|$", PAGE, re.MULTILINE)
    return [(int(number), file, name) for number, file, name in found]


def docstrings(file: str) -> dict[str, str]:
    """Test of a file -> its docstring."""
    tree = ast.parse((CHECKOUT / "dataplatform_tests" / file).read_text(encoding="utf-8"))
    return {node.name: ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def untrue() -> Iterator[str]:
    """Tests that the page names and that are not there, or speak of another pain."""
    for number, file, name in shown():
        text = docstrings(file).get(name)
        told = re.match(r"Pains? ([\d, and]+):", text or "")
        if text is None:
            yield f"{file} has no {name}"
        elif told is None or str(number) not in re.findall(r"\d+", told[1]):
            yield f"{file}: {name} does not begin with `Pain {number}:`"


def test_the_page_has_all_twenty_pains_with_their_threads() -> None:
    assert list(pains()) == list(ALL)
    assert [number for number, (pain, *_) in pains().items() if "https://github.com/" not in pain] == []


def test_every_test_that_the_page_names_is_there_and_says_which_pain_it_is_about() -> None:
    assert list(untrue()) == []


def test_whatever_the_page_calls_solved_has_a_test() -> None:
    claimed = {number for number, (_, state, *_) in pains().items() if state != "not"}
    assert claimed - {number for number, _, _ in shown()} == set()
    section = PAGE.split("## The tests")[1]
    assert section.count("](../dataplatform_tests/") == len(shown()), "a row that is not read as one"


def test_pain_09_one_share_warns_from_a_quarter_on_and_fails_from_a_half_on(tmp_path: Path) -> None:
    """Pain 9: severity and threshold stand in the rule, so two of them make a scale."""
    share = {"metric": "missingValues", "arguments": {"missingValues": [""]}, "unit": "percent"}
    some = {"id": "some", **share, "mustBeLessThan": 25, "severity": "warning"}
    half = {"id": "half", **share, "mustBeLessThan": 50}
    columns = {
        "order_id": "VARCHAR key",
        "buyer_id": "VARCHAR private",
        "country": ("VARCHAR", {"quality": [some, half]}),
        "order_amount": "DECIMAL(18,3)",
        "business_date": "DATE partitioned key",
    }
    shop_tables(tmp_path, orders={"columns": columns})
    shop = load(tmp_path)
    for day, without in ((D1, 0), (D2, 1), (D3, 2)):
        drop(shop, day, *(f"{day}-{number},7,{'' if number < without else 'UK'},1" for number in range(4)))
    with dg.DagsterInstance.ephemeral() as instance:
        found = str(checks(materialize(shop, instance, "raw_shop_orders orders", (D1, D3)), "orders")["table"].metadata)
    assert f"**warned** {D2} country:some: expected" in found
    assert f"**failed** {D3} country:half: expected" in found
    assert f"{D2} country:half" not in found
    assert {str(day) for (day,) in rows(shop, "orders", "business_date")} == {D1, D2}


def test_pain_13_partitions_finer_than_a_day_are_refused(tmp_path: Path) -> None:
    """Pain 13: there cannot be more partitions than days."""
    tables = TableFactory(tmp_path)
    tables.add("raw", "raw_shop_orders", {"order_id": "VARCHAR", "hour": "DATE partitioned"}, partitioning="hour")
    with pytest.raises(ContractError, match=r"partitioning.*'hour' is not known"):
        tables.catalog()


def test_pain_15_the_steps_of_a_launched_run_share_its_process(tmp_path: Path) -> None:
    """Pain 15: whatever is launched, its steps start no processes of their own."""
    shop_tables(tmp_path)
    jobs = build_definitions(load(tmp_path)).resolve_all_job_defs()
    assert {job.executor_def.name for job in jobs} == {"in_process"}
    assert len(jobs) > 1
