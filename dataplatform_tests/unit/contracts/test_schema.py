"""A contract's columns in the words of Arrow and Ibis."""

from __future__ import annotations

import ibis
import pyarrow as pa

from dataplatform.contracts.schema import arrow_schema, empty_table, ibis_schema
from dataplatform_tests.by_hand import contract

EVERY_TYPE = {
    "words": "VARCHAR",
    "labels": "VARCHAR[]",
    "small": "INTEGER",
    "large": "BIGINT",
    "share": "DOUBLE",
    "is_on": "BOOLEAN",
    "day_date": "DATE",
    "sold_at": "TIMESTAMP",
    "amount": "DECIMAL(18,3)",
}


def test_every_type_has_one_arrow_type() -> None:
    assert arrow_schema(contract(columns=EVERY_TYPE)) == pa.schema(
        {
            "words": pa.string(),
            "labels": pa.list_(pa.string()),
            "small": pa.int32(),
            "large": pa.int64(),
            "share": pa.float64(),
            "is_on": pa.bool_(),
            "day_date": pa.date32(),
            "sold_at": pa.timestamp("us", tz="UTC"),
            "amount": pa.decimal128(18, 3),
        }
    )


def test_every_type_has_one_ibis_type() -> None:
    assert ibis_schema(contract(columns=EVERY_TYPE)) == ibis.schema(
        {
            "words": "string",
            "labels": "array<string>",
            "small": "int32",
            "large": "int64",
            "share": "float64",
            "is_on": "boolean",
            "day_date": "date",
            "sold_at": "timestamp('UTC', 6)",
            "amount": "decimal(18, 3)",
        }
    )


def test_an_empty_table_has_the_columns_and_no_rows() -> None:
    table = empty_table(contract())

    assert table.num_rows == 0
    assert table.schema == arrow_schema(contract())
