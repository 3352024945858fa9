"""The page about contracts and the shipped contracts are what the code reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataplatform.contracts.catalog import load_catalog
from dataplatform.contracts.extensions import KNOWN
from dataplatform.contracts.naming import naming_problems
from dataplatform.contracts.reader import read_contract

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/contracts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def merged(example: str) -> dict[str, Any]:
    """An example of a part put into the page's complete contract; a complete one as it is."""
    complete: dict[str, Any] = yaml.safe_load(EXAMPLES[0])
    part: dict[str, Any] = yaml.safe_load(example)
    given = part.get("customProperties", [])
    replaced = {each["property"] for each in given} | {"rowPreserving"}
    if "id" in part:  # of another layer, which has no quarantine
        replaced.add("quarantineShare")
    kept = [each for each in complete["customProperties"] if each["property"] not in replaced]
    return part if "schema" in part else complete | part | {"customProperties": kept + given}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_is_a_contract(tmp_path: Path, example: str) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(yaml.safe_dump(merged(example)), encoding="utf-8")

    assert read_contract(path).full_name == merged(example)["id"]


def test_the_complete_example_reads_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(EXAMPLES[0], encoding="utf-8")

    names = [rule.name for rule in read_contract(path).rules]

    assert names == [
        "order_id:required",
        "customer_id:pattern",
        "channel:required",
        "channel:enum",
        "gross_amount:required",
        "gross_amount:minimum",
        "tax_amount:minimum",
        "business_date:required",
        "primary_key",
        "tax_is_part_of_gross",
        "rows_per_day",
        "no_free_phone_orders",
    ]


@pytest.mark.parametrize("name", KNOWN)
def test_every_custom_property_is_on_the_page(name: str) -> None:
    assert f"| `{name}` |" in PAGE


def test_every_shipped_name_keeps_the_naming_law() -> None:
    catalog = load_catalog(ROOT / "dataplatform/tables")

    assert [line for contract in catalog for line in naming_problems(contract)] == []
