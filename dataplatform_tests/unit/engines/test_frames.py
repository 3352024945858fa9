"""pandas frames in and out: nothing is lost, and what cannot be kept is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from dataplatform.contracts.model import Rule, RuleKind
from dataplatform.contracts.schema import arrow_schema
from dataplatform.engines.frames import from_frame, to_frame
from dataplatform.engines.samples import ROWS, sample
from dataplatform.errors import ShapeError
from dataplatform_tests.by_hand import contract

COLUMNS = {
    "key": "BIGINT",
    "count": "INTEGER",
    "amount": "DECIMAL(18,3)",
    "ratio": "DOUBLE",
    "label": "VARCHAR",
    "day": "DATE",
    "sold_at": "TIMESTAMP",
    "is_open": "BOOLEAN",
    "tags": "VARCHAR[]",
}


def rows() -> pa.Table:
    instant = dt.datetime(2011, 12, 9, 12, 50, 0, 123456, tzinfo=dt.UTC)
    first = [2**60 + 1, 1, Decimal("0.001"), 0.5, "a", dt.date(9999, 12, 31), instant, True, ["x"]]
    return pa.Table.from_pylist(
        [dict(zip(COLUMNS, first, strict=True)), dict.fromkeys(COLUMNS)], schema=arrow_schema(contract(columns=COLUMNS))
    )


def test_rows_come_back_from_a_frame_as_they_went_in() -> None:
    assert from_frame(to_frame(rows()), contract(columns=COLUMNS)).equals(rows())


def test_keys_beside_missing_values_keep_every_digit_and_money_stays_decimal() -> None:
    frame = to_frame(rows())
    assert frame["key"].iloc[0] == 2**60 + 1
    assert frame["amount"].iloc[0] == Decimal("0.001")
    assert str(frame["day"].dtype) == "datetime64[ms]"


def test_an_empty_frame_has_the_contracts_types() -> None:
    described = contract(columns=COLUMNS)
    assert from_frame(pd.DataFrame(columns=list(COLUMNS)), described).schema == arrow_schema(described)


def test_columns_are_taken_by_name_and_reasons_per_row_are_kept() -> None:
    described = contract(columns={"label": "VARCHAR", "count": "INTEGER"})
    found = from_frame(pd.DataFrame({"_row_errors": [["bad"], []], "count": [1, 2], "label": ["a", "b"]}), described)
    assert found.to_pydict() == {"label": ["a", "b"], "count": [1, 2], "_row_errors": [["bad"], []]}


@pytest.mark.parametrize(
    ("promised", "values", "problem"),
    [
        ("BIGINT", [1.5], "Float value 1.500000 was truncated converting to int64"),
        ("INTEGER", [2**40], "not in range"),
        ("BIGINT", [True], "bool where int64 is promised; cast it, or change the contract"),
        ("DECIMAL(18,3)", [1.5], "double where decimal128(18, 3) is promised; money never passes through a float"),
        ("DECIMAL(18,3)", [1], "int64 where decimal128(18, 3) is promised; make them `decimal.Decimal`"),
        ("DECIMAL(18,3)", [Decimal("0.0001")], "would cause data loss"),
        ("VARCHAR", [1], "int64 where string is promised; cast it to string"),
        ("BOOLEAN", [1], "int64 where bool is promised"),
        ("DATE", [pd.Timestamp("2011-12-09 12:00")], "a day has a time; use `.dt.normalize()`"),
        ("TIMESTAMP", [pd.Timestamp("2011-12-09")], "is promised; call `to_utc_timestamp(local, zone)`"),
        (
            "TIMESTAMP",
            [dt.date(2011, 12, 9)],
            "date32[day] where timestamp[us, tz=UTC] is promised; a day has no instant",
        ),
    ],
)
def test_a_value_that_would_change_is_refused_with_its_column(
    promised: str, values: list[object], problem: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        from_frame(pd.DataFrame({"found": values}), contract(columns={"found": promised}))
    assert str(caught.value).startswith("aggregate.daily: the frame does not fit the contract: column found: ")
    assert problem in str(caught.value)


def test_made_up_rows_keep_types_enumerations_bounds_and_keys() -> None:
    described = contract(
        columns=COLUMNS,
        primary_key=("key",),
        rules=(
            Rule("label:enum", RuleKind.ROWS, "enum", ("label",), {"value": ["sale", "cancellation"]}),
            Rule("count:minimum", RuleKind.ROWS, "minimum", ("count",), {"value": 7}),
            Rule("count:maximum", RuleKind.ROWS, "maximum", ("count",), {"value": 8}),
        ),
    )
    found = sample(described)
    assert found.schema == arrow_schema(described)
    assert found.num_rows == ROWS
    assert found["key"].to_pylist() == [1, 2, 3]
    assert found["label"].to_pylist() == ["sale", "cancellation", None]
    assert found["count"].to_pylist() == [8, 8, None]


def test_made_up_rows_have_no_nulls_where_a_column_is_required_and_only_the_columns_asked_for() -> None:
    columns = contract(columns=COLUMNS).columns
    described = replace(contract(), columns=tuple(replace(each, required=each.name == "label") for each in columns))
    found = sample(described, ["label", "day"])
    assert found.to_pydict() == {
        "label": ["label_0", "label_1", "label_2"],
        "day": [dt.date(2011, 1, 31), dt.date(2011, 2, 1), None],
    }
