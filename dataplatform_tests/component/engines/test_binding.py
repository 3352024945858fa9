"""Binding functions to empty tables: what is refused before any data exists, and with which words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.functions import load_function
from dataplatform.contracts.model import Layer
from dataplatform.engines.binding import Binding, bind
from dataplatform.errors import ContractError
from dataplatform_tests.factory import ColumnText, TableFactory

LINES: Mapping[str, ColumnText] = {
    "line_id": "BIGINT key",
    "day": "DATE required",
    "amount": "DECIMAL(18,3) required",
    "quantity": "INTEGER",
    "weight": "DOUBLE",
    "label": ("VARCHAR required", {"enum": [{"value": "a"}, {"value": "b"}]}),
    "sold_at": "TIMESTAMP",
    "is_sale": "BOOLEAN",
    "tags": "VARCHAR[]",
}


class Bench:
    """One table `totals` over one raw table `lines`, bound as the test says."""

    def __init__(self, folder: Path) -> None:
        self.tables = TableFactory(folder)
        self.tables.add("raw", "lines", LINES)

    def bind(
        self, columns: Mapping[str, str], body: str = "", *, layer: Layer = Layer.AGGREGATE, **more: Any
    ) -> Binding:
        """Binds `def totals(lines)` with `body`, or the function or SQL given."""
        function = f"def totals(lines: ibis.Table) -> ibis.Table:\n{textwrap.indent(textwrap.dedent(body), '    ')}"
        if "sql" not in more:
            more = {"function": function, **more}
        self.tables.add(layer, "totals", columns, **{"inputs": ["lines"], **more})
        contract = self.tables.contract("totals")
        upstream = {wanted.parameter: self.tables.contract(wanted.table) for wanted in contract.inputs}
        return bind(contract, load_function(contract, self.tables.tables_dir), upstream)

    def refusal(self, columns: Mapping[str, str], body: str = "", **more: Any) -> list[str]:
        """The problems, without the file they begin with."""
        with pytest.raises(ContractError) as caught:
            self.bind(columns, body, **more)
        start = f"{self.tables.tables_dir}/"
        assert all(problem.startswith(start) for problem in caught.value.problems)
        return [problem.split(".totals: ", 1)[1] for problem in caught.value.problems]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_binding_knows_delivered_types_lineage_and_what_the_casts_will_do(bench: Bench) -> None:
    found = bench.bind(
        {"day": "DATE", "amount": "DECIMAL(18,3)", "line_count": "BIGINT"},
        'return lines.group_by("day").aggregate(amount=lines.amount.sum(), line_count=lines.count())',
    )
    assert found.table == "totals"
    assert found.delivered == {"day": "DATE", "amount": "DECIMAL(38,3)", "line_count": "BIGINT"}
    assert found.lineage == {"day": {("lines", "day")}, "amount": {("lines", "amount")}, "line_count": frozenset()}
    assert found.notes == ("amount: DECIMAL(38,3) is cast to DECIMAL(18,3), and rows are counted whose value changes",)


def test_columns_may_come_in_any_order(bench: Bench) -> None:
    assert list(bench.bind({"day": "DATE", "label": "VARCHAR"}, 'return lines.select("label", "day")').delivered) == [
        "label",
        "day",
    ]


def test_missing_unexpected_and_misspelled_columns_are_named(bench: Bench) -> None:
    assert bench.refusal(
        {"day": "DATE", "amount": "DECIMAL(18,3)", "label": "VARCHAR"},
        "return lines.select('day', amont=lines.amount)",
    ) == [
        "column amont is delivered and not in the contract; did you mean 'amount'?",
        "column amount of the contract is not delivered; did you mean 'amont'?",
        "column label of the contract is not delivered; use one of amont",
    ]


ADMITTED = [
    ("DECIMAL(18,3)", "lines.amount * lines.amount"),
    ("DECIMAL(18,3)", "lines.quantity"),
    ("INTEGER", "lines.line_id"),
    ("BIGINT", "lines.quantity"),
    ("BIGINT", "lines.amount.floor().cast('int64')"),
    ("DOUBLE", "lines.quantity"),
    ("DOUBLE", "ibis.literal(0.5)"),
    ("DATE", "lines.day.truncate('M')"),
    ("DATE", "lines.sold_at.date()"),
    ("TIMESTAMP", "lines.sold_at"),
    ("VARCHAR", "lines.label.upper()"),
    ("VARCHAR[]", "lines.tags"),
    ("BOOLEAN", "lines.quantity > 1"),
]


@pytest.mark.parametrize(("promised", "expression"), ADMITTED)
def test_types_of_the_same_family_are_admitted(bench: Bench, promised: str, expression: str) -> None:
    assert "result" in bench.bind({"result": promised}, f"return lines.select(result={expression})").delivered


REFUSED = [
    ("DECIMAL(18,3)", "lines.weight", "DOUBLE", "money never passes through a float: compute it in decimals"),
    ("BIGINT", "lines.weight", "DOUBLE", "write `.floor()` or `.round()`, then `.cast('int64')`"),
    ("BIGINT", "lines.amount", "DECIMAL(18,3)", "write `.floor()` or `.round()`, then `.cast('int64')`"),
    ("VARCHAR", "lines.quantity", "INTEGER", "cast it to string; `ibis.null('string')` for no value"),
    ("TIMESTAMP", "lines.day", "DATE", "a day has no instant: promise a DATE, or say which instant is meant"),
    ("TIMESTAMP", "lines.sold_at.cast('timestamp')", "TIMESTAMP", "call `to_utc_timestamp(local, zone)`"),
    ("DATE", "lines.sold_at", "TIMESTAMP WITH TIME ZONE", "write `.date()` of the local time that is meant"),
    ("DATE", "lines.label", "VARCHAR", "test the pattern, then `.cast('date')`"),
    ("BOOLEAN", "lines.quantity", "INTEGER", "cast it, or change the contract"),
    ("VARCHAR", "lines.tags", "VARCHAR[]", "cast it, or change the contract"),
    ("BIGINT", "lines.is_sale", "BOOLEAN", "cast it, or change the contract"),
]


@pytest.mark.parametrize(("promised", "expression", "delivered", "fix"), REFUSED)
def test_types_of_another_family_are_refused_with_what_to_write(
    bench: Bench, promised: str, expression: str, delivered: str, fix: str
) -> None:
    assert bench.refusal({"result": promised}, f"return lines.select(result={expression})") == [
        f"column result: delivers {delivered} where the contract promises {promised}; {fix}"
    ]


def test_duckdb_says_the_type_where_ibis_is_wrong(bench: Bench) -> None:
    (problem,) = bench.refusal({"result": "BIGINT"}, "return lines.select(result=lines.sold_at.epoch_seconds())")
    assert problem.startswith("column result: delivers DOUBLE where the contract promises BIGINT")


def test_reasons_per_row_may_be_returned_and_are_no_column(bench: Bench) -> None:
    body = "return lines.select('label', _row_errors={})"
    found = bench.bind({"label": "VARCHAR"}, body.format("lines.tags"))
    assert "_row_errors" in found.delivered
    assert "_row_errors" not in found.lineage
    assert bench.refusal({"label": "VARCHAR"}, body.format("lines.label")) == [
        "_row_errors is VARCHAR; make it an array of strings, one per reason"
    ]


def test_refused_idioms_and_wrong_columns_are_told_together(bench: Bench) -> None:
    found = bench.refusal({"label": "VARCHAR", "day": "DATE"}, "return lines.select(label=lines.label.strip())")
    assert [problem.split(";")[0] for problem in found] == [
        "Strip(label): strip: Spark also eats the letters f and v at both ends",
        "column day of the contract is not delivered",
    ]


def test_an_error_inside_the_function_is_told_with_its_line(bench: Bench) -> None:
    (problem,) = bench.refusal({"label": "VARCHAR"}, "wrong = lines.labl\nreturn lines.select(label=wrong)")
    assert problem.startswith("line 5: fails on empty inputs: AttributeError: ")
    assert problem.endswith("correct the function")


def test_what_duckdb_cannot_run_is_told(bench: Bench) -> None:
    body = """
        @ibis.udf.scalar.builtin
        def trim(text: str, how: int) -> str: ...

        return lines.select(result=trim(lines.label, 1))
    """
    (problem,) = bench.refusal({"result": "VARCHAR"}, body)
    assert problem.startswith("DuckDB cannot run it: Binder Error: No function matches")
    assert problem.endswith("; correct the expression")


def test_a_function_must_return_a_table(bench: Bench) -> None:
    assert bench.refusal({"label": "VARCHAR"}, "return lines.label") == ["returns StringColumn; return an ibis.Table"]


def test_a_table_that_is_no_parameter_is_refused(bench: Bench) -> None:
    found = bench.refusal({"label": "VARCHAR"}, "return ibis.table({'label': 'string'}, name='other')")
    assert found == ["reads 'other', which is no parameter; take it as an input"]


def test_settings_are_bound_with_the_contracts_defaults_and_the_day_of_the_slice(bench: Bench) -> None:
    function = (
        "def totals(lines: ibis.Table, *, minimum: int, slice_day) -> ibis.Table:\n"
        "    return lines.filter(lines.line_id > minimum + 1, lines.day >= slice_day).select('label')"
    )
    found = bench.bind({"label": "VARCHAR"}, function=function, custom={"settings": {"minimum": 3}})
    assert found.delivered == {"label": "VARCHAR"}


def test_one_table_may_come_in_by_two_parameters_and_a_projection_hides_the_rest(bench: Bench) -> None:
    inputs = [
        {"parameter": "now", "table": "lines", "window": "all"},
        {"parameter": "then", "table": "lines", "window": "all", "columns": ["line_id", "label"]},
    ]
    function = (
        "def totals(now: ibis.Table, then: ibis.Table) -> ibis.Table:\n"
        "    return now.join(then, 'line_id').select('day', before=then.label)"
    )
    columns = {"day": "DATE", "before": "VARCHAR"}
    found = bench.bind(columns, function=function, inputs=inputs)
    assert found.lineage == {"day": {("lines", "day")}, "before": {("lines", "label")}}
    (problem,) = bench.refusal(columns, function=function.replace("then.label", "then.day"), inputs=inputs)
    assert "fails on empty inputs: AttributeError" in problem


def test_a_python_function_is_admitted_in_the_cleaned_layer(bench: Bench) -> None:
    function = """
        @ibis.udf.scalar.python
        def shout(text: str) -> str:
            return None if text is None else text + "!"

        def totals(lines: ibis.Table) -> ibis.Table:
            return lines.select(label=shout(lines.label))
    """
    assert bench.bind({"label": "VARCHAR"}, function=function, layer=Layer.CLEANED).delivered == {"label": "VARCHAR"}


def test_nothing_stays_behind_when_a_binding_fails(bench: Bench) -> None:
    bench.refusal({"label": "VARCHAR"}, "raise ValueError('no')")
    assert bench.bind({"label": "VARCHAR"}, "return lines.select('label')").delivered == {"label": "VARCHAR"}


FRAMES = "import pandas as pd\n\ndef totals(lines: pd.DataFrame) -> pd.DataFrame:\n"


def test_a_function_on_frames_is_bound_on_made_up_rows(bench: Bench) -> None:
    found = bench.bind(
        {"label": "VARCHAR", "amount": "DECIMAL(18,3)", "line_count": "BIGINT", "day": "DATE"},
        function=FRAMES
        + "    by_label = lines.groupby('label')\n"
        + "    return pd.DataFrame({'amount': by_label['amount'].sum(), 'line_count': by_label.size(),"
        + " 'day': by_label['day'].max()}).reset_index()",
    )
    assert set(found.delivered) == {"label", "amount", "line_count", "day"}
    assert set(found.lineage.values()) == {frozenset()}


@pytest.mark.parametrize(
    ("columns", "returned", "problem"),
    [
        ({"label": "VARCHAR"}, "lines[['day']]", "column day is delivered and not in the contract; use one of label"),
        ({"label": "VARCHAR"}, "lines['label']", "returns Series; return a pandas.DataFrame"),
        (
            {"amount": "DECIMAL(18,3)"},
            "lines[['amount']].astype(float)",
            "column amount: double where decimal128(18, 3) is promised; money never passes through a float",
        ),
        (
            {"sold_at": "TIMESTAMP"},
            "lines[['sold_at']].apply(lambda each: each.dt.tz_localize(None))",
            "column sold_at: timestamp[us] where timestamp[us, tz=UTC] is promised; call `to_utc_timestamp",
        ),
        (
            {"day": "DATE"},
            "lines[['day']] + pd.Timedelta(hours=1)",
            "column day: a day has a time; use `.dt.normalize()`",
        ),
        ({"quantity": "INTEGER"}, "lines[['quantity']] / 2", "column quantity: "),
        ({"label": "VARCHAR"}, "lines[['labl']]", "line 7: fails on empty inputs: KeyError"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(
    bench: Bench, columns: Mapping[str, str], returned: str, problem: str
) -> None:
    found = bench.refusal(columns, function=f"{FRAMES}    return {returned}")
    assert problem in found[0]
