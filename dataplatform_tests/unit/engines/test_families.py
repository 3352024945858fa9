"""Which delivered types may be cast to which promised ones."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dataplatform.contracts.types import ColumnType
from dataplatform.engines.families import ACCEPTED, accepts, of_arrow, of_duckdb

ALL_TYPES = ("VARCHAR", "VARCHAR[]", "INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL(18,3)")


@pytest.mark.parametrize("name", ALL_TYPES)
def test_every_lake_type_accepts_itself_and_a_column_of_nulls(name: str) -> None:
    promised = ColumnType.parse(name)
    described = promised.duckdb.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
    assert accepts(promised.family, of_duckdb(described))
    assert accepts(promised.family, of_duckdb('"NULL"'))
    assert accepts(promised.family, of_arrow(promised.arrow), frames=True)
    assert accepts(promised.family, of_arrow(pa.null()), frames=True)


def test_between_families_only_these_casts_are_made() -> None:
    crossing = {(found, promised) for promised, known in ACCEPTED.items() for found in known if found != promised}
    assert crossing == {
        ("integer", "decimal"),
        ("integer", "float"),
        ("decimal", "float"),
        ("naive timestamp", "date"),
    }


@pytest.mark.parametrize("name", ["BLOB", "UUID", "JSON", "INTERVAL", "TIME", "BIGINT[]", "STRUCT(a INTEGER)"])
def test_a_type_the_lake_does_not_have_is_accepted_nowhere(name: str) -> None:
    assert not any(accepts(promised, of_duckdb(name)) for promised in ACCEPTED)


def test_sums_wider_than_the_lake_are_integers_and_local_times_are_no_instants() -> None:
    assert of_duckdb("HUGEINT") == "integer"
    assert not accepts("timestamp", of_duckdb("TIMESTAMP"))
    assert of_arrow(pa.dictionary(pa.int8(), pa.string())) == "string"
    assert of_arrow(pa.list_(pa.int64())) == "list<item: int64>"
