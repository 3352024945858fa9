"""Answers keep every digit in every format, and a file is written whole or not at all."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataplatform.contracts.catalog import Catalog
from dataplatform.errors import PlatformError, UnknownNameError
from dataplatform.serving.query import run_query
from dataplatform.serving.statement import QueryError
from dataplatform.serving.writers import FORMATS, write_answer
from dataplatform.settings import Settings

ROW = """
SELECT 34000.000::DECIMAL(18,3) AS amount, 1152921504606846975 AS key, NULL AS nothing, '' AS blank,
       'a "b", c' AS said, TIMESTAMPTZ '2011-03-27 01:30:00+01' AS at, DATE '2011-03-27' AS day, ['x', NULL] AS list,
       {'n': 1.50} AS struct, sum(2::BIGINT) AS total, 'NaN'::DOUBLE AS ratio, true AS yes, '\\x01'::BLOB AS bytes
"""


def written(tmp_path: Path, sql: str, form: str, limit: int | None = None) -> bytes:
    output = tmp_path / f"answer.{form}"
    with run_query(Settings.load(data_dir=tmp_path / "data"), Catalog(()), sql, limit=limit) as answer:
        write_answer(answer, form, output)
    return output.read_bytes()


def test_csv_keeps_digits_and_tells_null_from_blank(tmp_path: Path) -> None:
    lines = written(tmp_path, ROW, "csv").decode().splitlines()
    assert lines[0].startswith('"amount","key","nothing","blank","said","at"')
    assert lines[1] == (
        '34000.000,1152921504606846975,,"","a ""b"", c","2011-03-27T00:30:00Z",2011-03-27,"[""x"", null]",'
        '"{""n"": ""1.50""}",2,nan,true,"01"'
    )


def test_json_keeps_digits_as_text_and_integers_as_numbers(tmp_path: Path) -> None:
    (record,) = json.loads(written(tmp_path, ROW, "json"))
    assert record == {
        "amount": "34000.000",
        "key": 1152921504606846975,
        "nothing": None,
        "blank": "",
        "said": 'a "b", c',
        "at": "2011-03-27T00:30:00Z",
        "day": "2011-03-27",
        "list": ["x", None],
        "struct": {"n": "1.50"},
        "total": 2,
        "ratio": None,
        "yes": True,
        "bytes": "01",
    }


def test_json_of_many_rows_and_of_none_is_one_array(tmp_path: Path) -> None:
    assert len(json.loads(written(tmp_path, "SELECT range FROM range(120000)", "json"))) == 120_000
    assert json.loads(written(tmp_path, "SELECT 1 AS a WHERE false", "json")) == []


def test_parquet_keeps_types(tmp_path: Path) -> None:
    written(
        tmp_path, "SELECT 34000.000::DECIMAL(18,3) AS amount, TIMESTAMPTZ '2011-03-27 00:30:00+00' AS at", "parquet"
    )
    table = pq.read_table(tmp_path / "answer.parquet")
    assert str(table.schema.field("amount").type) == "decimal128(18, 3)"
    assert table.to_pylist() == [{"amount": Decimal("34000.000"), "at": datetime(2011, 3, 27, 0, 30, tzinfo=UTC)}]


def test_a_table_aligns_numbers_and_shows_null(tmp_path: Path) -> None:
    sql = "SELECT * FROM (VALUES (1.5::DECIMAL(9,3), 'a'), (1000, NULL)) AS t(amount, name)"
    lines = [line.rstrip() for line in written(tmp_path, sql, "table").decode().splitlines()]
    assert lines[0] == "  amount   name"
    assert lines[2:4] == ["   1.500   a", "1000.000   NULL"]
    assert lines[-1] == "2 rows"


def test_a_table_says_that_there_are_more_rows(tmp_path: Path) -> None:
    text = written(tmp_path, "SELECT range FROM range(100)", "table", limit=7).decode()
    assert text.endswith("7 rows; there are more: raise --limit\n")


def test_a_plan_is_shown_as_it_is_drawn(tmp_path: Path) -> None:
    assert written(tmp_path, "EXPLAIN SELECT 42", "table").decode().startswith("┌──")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_goes_to_standard_output(
    tmp_path: Path, form: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with run_query(Settings.load(data_dir=tmp_path), Catalog(()), "SELECT 1.50::DECIMAL(9,2) AS a") as answer:
        write_answer(answer, form)
    sys.stdout.flush()
    out = capfdbinary.readouterr().out
    if form == "parquet":
        assert pq.read_table(io.BytesIO(out)).to_pylist() == [{"a": Decimal("1.50")}]
    else:
        assert b"1.50" in out


@pytest.mark.parametrize(("name", "why"), [("", "is a folder"), ("no/answer.csv", "there is no folder .*/no")])
def test_an_output_that_cannot_be_a_file_is_refused_with_the_reason(tmp_path: Path, name: str, why: str) -> None:
    with (
        run_query(Settings.load(data_dir=tmp_path / "data"), Catalog(()), "SELECT 1") as answer,
        pytest.raises(QueryError, match=f"cannot write .*: {why}; name a file in a folder that is there"),
    ):
        write_answer(answer, "csv", tmp_path / name)


def test_parquet_is_refused_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with (
        run_query(Settings.load(data_dir=tmp_path), Catalog(()), "SELECT 1") as answer,
        pytest.raises(QueryError, match="Parquet is not for terminals; redirect the output, or write it with --output"),
    ):
        write_answer(answer, "parquet")


def test_an_unknown_format_gets_the_nearest_one(tmp_path: Path) -> None:
    with (
        run_query(Settings.load(data_dir=tmp_path), Catalog(()), "SELECT 1") as answer,
        pytest.raises(UnknownNameError, match="no format called 'jsn'; did you mean json"),
    ):
        write_answer(answer, "jsn")


def test_a_query_that_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "answer.csv"
    kept.write_text("before", encoding="utf-8")
    late = "SELECT CAST(if(range = 299999, 'x', '1') AS INTEGER) FROM range(300000)"
    with pytest.raises(PlatformError, match="Could not convert string 'x'"):
        written(tmp_path, late, "csv")
    assert kept.read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["answer.csv"]
