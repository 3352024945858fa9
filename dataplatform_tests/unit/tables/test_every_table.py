"""What holds for every shipped table: it compiles for both engines, and its contract says all it must."""

from __future__ import annotations

import ibis
import pytest

from dataplatform.contracts.model import Contract, Layer
from dataplatform.contracts.naming import naming_problems
from dataplatform.contracts.schema import ibis_schema
from dataplatform_tests.unit.tables.making import TABLES, contract, function

NAMES = sorted(path.stem for path in TABLES.glob("*/*.yaml") if path.parent.name != Layer.RAW)
EXPRESSIONS = [name for name in NAMES if function(name).kind == "ibis"]


def _unbound(promised: Contract) -> list[ibis.Table]:
    inputs = {wanted.parameter: wanted for wanted in promised.inputs}
    tables = []
    for parameter in function(promised.name).parameters:
        table = ibis.table(ibis_schema(contract(inputs[parameter].table)), name=parameter)
        tables.append(table.select(*inputs[parameter].columns) if inputs[parameter].columns else table)
    return tables


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dialect", ["duckdb", "pyspark"])
def test_the_way_out_of_ibis_is_open(name: str, dialect: str) -> None:
    call = function(name).call
    assert call is not None
    made = call(*_unbound(contract(name)), **contract(name).settings)
    assert str(ibis.to_sql(made, dialect=dialect)).startswith(("SELECT", "WITH"))


def test_all_three_ways_to_write_a_table_are_shipped() -> None:
    kinds = {name: function(name).kind for name in NAMES}
    assert kinds.pop("daily_country_sales") == "sql"
    assert kinds.pop("monthly_customer_cohorts") == "pandas"
    assert set(kinds.values()) == {"ibis"}


@pytest.mark.parametrize("name", NAMES)
def test_names_keep_the_law(name: str) -> None:
    assert naming_problems(contract(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_table_has_a_primary_key_and_an_owner(name: str) -> None:
    assert contract(name).primary_key
    assert contract(name).owner


@pytest.mark.parametrize("name", NAMES)
def test_who_a_customer_is_is_confidential_everywhere(name: str) -> None:
    private = {column for column in contract(name).column_names if column == "customer_id"}
    assert contract(name).private_columns == private
