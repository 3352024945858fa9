"""Loading the function of a table from a folder of files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.functions import TableFunction, load_function
from dataplatform.errors import ContractError
from dataplatform_tests.factory import TableFactory

COLUMNS = {"order_id": "BIGINT key", "amount": "DECIMAL(18,3)"}


@pytest.fixture
def tables(tmp_path: Path) -> TableFactory:
    found = TableFactory(tmp_path)
    found.add("raw", "raw_orders", COLUMNS)
    return found


def write(tables: TableFactory, function: str, **more: Any) -> Path:
    return tables.add("cleaned", "orders", COLUMNS, **{"inputs": ["raw_orders"], "function": function, **more})


def load(tables: TableFactory) -> TableFunction:
    return load_function(tables.contract("orders"), tables.tables_dir)


def refusal(tables: TableFactory) -> str:
    with pytest.raises(ContractError) as caught:
        load(tables)
    return str(caught.value)


def test_a_function_is_found_by_its_tables_name_with_its_tables_and_settings(tables: TableFactory) -> None:
    path = write(
        tables,
        '''
        def orders(raw_orders: ibis.Table, *, minimum: int) -> ibis.Table:
            """Orders that count."""
            return raw_orders
        ''',
        custom={"settings": {"minimum": 3}},
    )
    function = load(tables)
    assert (function.table, function.kind, function.doc) == ("orders", "ibis", "Orders that count.")
    assert (function.parameters, function.settings) == (("raw_orders",), ("minimum",))
    assert (function.source_path, function.line) == (path.with_suffix(".py"), 4)
    assert function.call is not None
    assert function.call("rows", minimum=1) == "rows"


def test_the_order_of_tables_is_the_functions_own(tables: TableFactory) -> None:
    tables.add("raw", "raw_people", COLUMNS)
    write(tables, "def orders(raw_people, raw_orders): return raw_orders", inputs=["raw_orders", "raw_people"])
    assert load(tables).parameters == ("raw_people", "raw_orders")


def test_a_function_on_frames_is_told_by_its_annotations_without_importing_pandas(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders: 'pandas.DataFrame') -> 'pandas.DataFrame': return raw_orders")
    assert load(tables).kind == "pandas"


def test_frames_and_tables_in_one_signature_are_refused(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders: 'pandas.DataFrame') -> ibis.Table: return raw_orders")
    assert "a pandas.DataFrame stands in one annotation and not in another; annotate all tables alike" in refusal(
        tables
    )


def test_a_table_without_function_is_refused(tables: TableFactory) -> None:
    write(tables, "").with_suffix(".py").unlink()
    assert "cleaned.orders has no function; write orders.py or orders.sql beside it" in refusal(tables)


def test_a_misspelled_function_is_refused_with_the_nearest_one(tables: TableFactory) -> None:
    path = write(tables, "def order(raw_orders): return raw_orders")
    assert refusal(tables) == f"{path.with_suffix('.py')}: no function called 'orders'; did you mean 'order'?"


def test_a_parameter_that_is_no_input_and_an_input_that_is_no_parameter_are_both_named(tables: TableFactory) -> None:
    path = write(tables, "def orders(raw_order): return raw_order").with_suffix(".py")
    unknown, unused = refusal(tables).splitlines()
    assert unknown == (
        f"{path}: orders: table parameter 'raw_order' is no input of the contract; "
        "declare it there (did you mean 'raw_orders'?)"
    )
    assert unused == (
        f"{path}: orders: input 'raw_orders' of the contract is no table parameter; use it, or remove it there"
    )


def test_a_setting_that_only_one_side_knows_is_refused(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders, *, limit): return raw_orders", custom={"settings": {"minimum": 3}})
    found = refusal(tables)
    assert "keyword-only parameter 'limit' is no setting of the contract; declare it there" in found
    assert "setting 'minimum' of the contract is no keyword-only parameter; use it, or remove it there" in found


def test_a_setting_among_the_tables_is_told_where_it_belongs(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders, minimum): return raw_orders", custom={"settings": {"minimum": 3}})
    (line,) = refusal(tables).splitlines()
    assert line.endswith(
        "setting 'minimum' of the contract is no keyword-only parameter; tables stand before `*`, settings after it"
    )


def test_a_table_after_the_star_is_told_where_it_belongs(tables: TableFactory) -> None:
    write(tables, "def orders(*, raw_orders): return raw_orders")
    (line,) = refusal(tables).splitlines()
    assert line.endswith(
        "input 'raw_orders' of the contract is no table parameter; tables stand before `*`, settings after it"
    )


@pytest.mark.parametrize("parameters", ["*tables", "raw_orders, **settings", "raw_orders, /"])
def test_parameters_that_hide_what_is_read_are_refused(tables: TableFactory, parameters: str) -> None:
    write(tables, f"def orders({parameters}): return None")
    assert "hides what is read; name every table and, after `*`, every setting" in refusal(tables)


def test_a_table_with_a_default_is_refused(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders=None): return raw_orders")
    assert "parameter 'raw_orders' has a default, so it is no table; put settings after `*`" in refusal(tables)


def test_a_default_in_code_must_be_the_contracts(tables: TableFactory) -> None:
    code = "def orders(raw_orders, *, minimum={}): return raw_orders"
    write(tables, code.format(3), custom={"settings": {"minimum": 3}})
    assert load(tables).settings == ("minimum",)
    write(tables, code.format(4), custom={"settings": {"minimum": 3}})
    assert "setting 'minimum' defaults to 4 here and to 3 in the contract; keep the contract's" in refusal(tables)


def test_the_day_of_the_slice_may_be_asked_for_without_a_contract(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders, *, slice_day): return raw_orders")
    assert load(tables).settings == ("slice_day",)


def test_code_that_cannot_be_imported_is_refused_with_its_error(tables: TableFactory) -> None:
    path = write(tables, "import nowhere_to_be_found\ndef orders(raw_orders): return raw_orders").with_suffix(".py")
    assert refusal(tables) == (
        f"{path}: cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'; correct it"
    )


def test_a_syntax_error_is_told_with_its_line(tables: TableFactory) -> None:
    path = write(tables, "def orders(raw_orders: return").with_suffix(".py")
    assert refusal(tables).startswith(f"{path}: line 4: ")


def test_an_edited_file_is_loaded_anew_in_the_same_process(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders): return 1")
    first = load(tables)
    write(tables, "def orders(raw_orders): return 2")
    second = load(tables)
    assert first.call is not None
    assert second.call is not None
    assert (first.call(None), second.call(None)) == (1, 2)


def test_two_folders_with_tables_of_one_name_do_not_meet(tables: TableFactory, tmp_path: Path) -> None:
    other = TableFactory(tmp_path / "other")
    write(tables, "def orders(raw_orders): return 1")
    write(other, "def orders(raw_orders): return 2")
    assert [found.call(None) for each in (tables, other) if (found := load(each)).call] == [1, 2]


def test_the_fingerprint_ignores_comments_docstrings_and_formatting(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders):\n    return raw_orders.filter(raw_orders.amount > 1)")
    plain = load(tables).fingerprint
    write(
        tables,
        '''
        def orders(
            raw_orders,  # as delivered
        ):
            """Orders."""
            return raw_orders.filter(
                raw_orders.amount > 1
            )
        ''',
    )
    assert load(tables).fingerprint == plain
    write(tables, "def orders(raw_orders):\n    return raw_orders.filter(raw_orders.amount > 2)")
    assert load(tables).fingerprint != plain


def test_the_fingerprint_follows_helpers_of_the_tables_folder_and_nothing_else(tables: TableFactory) -> None:
    helper, base, unused = (tables.tables_dir / name for name in ("_helper.py", "_base.py", "_unused.py"))
    write(tables, "from .._helper import double\ndef orders(raw_orders): return double(raw_orders)")
    helper.write_text("from ._base import FACTOR\ndef double(rows): return rows\n")
    base.write_text("FACTOR = 2\n")
    unused.write_text("A = 1\n")
    first = load(tables).fingerprint
    unused.write_text("A = 2\n")
    assert load(tables).fingerprint == first
    helper.write_text('from ._base import FACTOR\ndef double(rows):\n    """Twice."""\n    return rows\n')
    assert load(tables).fingerprint == first
    base.write_text("FACTOR = 3\n")
    assert load(tables).fingerprint != first


def test_the_platforms_own_helpers_count_for_tables_elsewhere(tables: TableFactory) -> None:
    body = "def orders(raw_orders): return raw_orders"
    write(tables, body)
    plain = load(tables).fingerprint
    write(tables, f"from dataplatform.tables import _text\n{body}")
    whole = load(tables).fingerprint
    write(tables, f"import dataplatform.tables._text\n{body}")
    assert len({plain, whole, load(tables).fingerprint}) == 3


def test_sql_is_loaded_with_its_inputs_settings_and_leading_comment(tables: TableFactory) -> None:
    path = write(
        tables,
        "",
        sql="-- Orders that count.\n-- Large ones.\nSELECT * FROM raw_orders WHERE amount > $minimum",
        custom={"settings": {"minimum": 3}},
    )
    function = load(tables)
    assert (function.kind, function.call, function.doc) == ("sql", None, "Orders that count.\nLarge ones.")
    assert (function.parameters, function.settings) == (("raw_orders",), ("minimum",))
    assert function.source_path == path.with_suffix(".sql")


def test_the_fingerprint_of_sql_ignores_comments_and_formatting(tables: TableFactory) -> None:
    write(tables, "", sql="SELECT order_id, amount FROM raw_orders")
    plain = load(tables).fingerprint
    write(tables, "", sql="-- all\nselect order_id,\n  amount -- money\nfrom raw_orders;\n")
    assert load(tables).fingerprint == plain
    write(tables, "", sql="SELECT order_id, amount + 1 AS amount FROM raw_orders")
    assert load(tables).fingerprint != plain


def test_sql_that_reads_other_tables_than_its_contract_is_refused(tables: TableFactory) -> None:
    write(tables, "", sql="SELECT * FROM raw_order WHERE amount > $least")
    found = refusal(tables)
    assert "table 'raw_order' is no input of the contract; declare it there (did you mean 'raw_orders'?)" in found
    assert "`$` parameter 'least' is no setting of the contract; declare it there, or remove it" in found
    assert "input 'raw_orders' of the contract is no table; use it, or remove it there" in found


def test_a_cte_with_the_name_of_a_table_is_refused(tables: TableFactory) -> None:
    path = write(tables, "", sql="WITH raw_orders AS (SELECT 1 AS order_id) SELECT * FROM raw_orders")
    assert refusal(tables) == (
        f"{path.with_suffix('.sql')}: CTE 'raw_orders' has the name of a table; "
        "rename the CTE, so that a reader knows which one is meant"
    )


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT 1; SELECT 2", "must be one SELECT (with CTEs if need be), holds SELECT, SELECT; write one SELECT"),
        ("DELETE FROM raw_orders", "must be one SELECT (with CTEs if need be), holds DELETE; write one SELECT"),
        ("-- nothing", "must be one SELECT (with CTEs if need be), holds nothing; write one SELECT"),
        ("SELECT * FROM raw.raw_orders", "raw.raw_orders names a layer; write raw_orders, as the contract's input is"),
        ("SELECT * FROM read_csv('x.csv')", "is a function, not a table; read inputs of the contract only"),
        ("SELECT (1", "line 1, column 9: not readable as SQL: "),
    ],
)
def test_a_sql_file_that_is_not_one_select_over_inputs_is_refused(tables: TableFactory, sql: str, problem: str) -> None:
    write(tables, "", sql=sql)
    assert problem in refusal(tables)


def test_loading_a_foreign_folder_leaves_no_bytecode_behind(tables: TableFactory) -> None:
    write(tables, "def orders(raw_orders): return raw_orders")
    before = sys.dont_write_bytecode
    load(tables)
    assert sys.dont_write_bytecode == before
    assert not list(tables.tables_dir.rglob("*.pyc"))
