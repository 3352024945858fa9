"""The tables that ship: each binds, and each column is traced to columns that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

import dataplatform
from dataplatform.contracts.catalog import Catalog, load_catalog
from dataplatform.contracts.functions import load_function
from dataplatform.engines.binding import Binding, bind

TABLES = Path(dataplatform.__file__).parent / "tables"
MADE = sorted(path.stem for path in TABLES.glob("*/*.yaml") if path.parent.name != "raw")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(TABLES)


def _bind(catalog: Catalog, name: str) -> Binding:
    contract = catalog.get(name)
    upstream = {wanted.parameter: catalog.get(wanted.table) for wanted in contract.inputs}
    return bind(contract, load_function(contract, TABLES), upstream)


@pytest.mark.parametrize("name", MADE)
def test_every_shipped_table_binds_and_is_traced_to_columns_of_its_inputs(catalog: Catalog, name: str) -> None:
    lineage = _bind(catalog, name).lineage
    contract = catalog.get(name)
    assert tuple(lineage) == contract.column_names
    inputs = {wanted.table for wanted in contract.inputs}
    for origins in lineage.values():
        assert {table for table, _ in origins} <= inputs
        assert all(column in catalog.get(table).column_names for table, column in origins)


def test_all_three_ways_of_writing_a_table_ship(catalog: Catalog) -> None:
    kinds = {name: load_function(catalog.get(name), TABLES).kind for name in MADE}
    assert set(kinds.values()) == {"ibis", "sql", "pandas"}
    assert (kinds["daily_country_sales"], kinds["monthly_customer_cohorts"]) == ("sql", "pandas")
