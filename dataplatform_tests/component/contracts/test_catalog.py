"""The contracts of a platform are judged together, and answer questions about their graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.catalog import Catalog, load_catalog
from dataplatform.errors import ContractError, UnknownNameError
from dataplatform_tests.factory import ColumnText, TableFactory

DAY: dict[str, ColumnText] = {"business_date": "DATE partitioned"}
ORDERS: dict[str, ColumnText] = {"order_id": "BIGINT key", "customer_id": "VARCHAR", **DAY}
CUSTOMERS: dict[str, ColumnText] = {"customer_key": "BIGINT key", "customer_id": "VARCHAR required unique"}
IDENTITY = {"dimension": {"id": "customer_id", "key": "customer_key"}}


@pytest.fixture
def shop(tmp_path: Path) -> TableFactory:
    """Four layers of a small shop; tests add to it what is wrong."""
    tables = TableFactory(tmp_path)
    tables.add("raw", "raw_shop_orders", {"order_id": "VARCHAR", **DAY}, partitioning="day")
    tables.add("cleaned", "orders", ORDERS, inputs=["raw_shop_orders"], partitioning="day")
    tables.add("dimensional", "dim_customer", CUSTOMERS, inputs=["orders"], custom=IDENTITY)
    to = {"relationships": [{"to": "dim_customer.customer_key"}]}
    lookup = {"column": "customer_id", "references": "customer_id", "uses": ["customer_key"]}
    customer = {"table": "dim_customer", "window": "all", "columns": ["customer_id", "customer_key"], "lookup": lookup}
    columns: dict[str, ColumnText] = {"customer_id": "VARCHAR", "customer_key": ("BIGINT required", to), **DAY}
    tables.add("dimensional", "fact_orders", columns, inputs=["orders", customer], partitioning="day")
    tables.add(
        "aggregate", "daily_orders", {"order_count": "BIGINT", **DAY}, inputs=["fact_orders"], partitioning="day"
    )
    return tables


def problems(tables: TableFactory) -> list[str]:
    """The problems of the set, each with the path below the tables folder."""
    with pytest.raises(ContractError) as caught:
        tables.catalog()
    return [line.removeprefix(f"{tables.tables_dir}/") for line in caught.value.problems]


def test_tables_stand_after_what_they_read(shop: TableFactory) -> None:
    catalog = shop.catalog()

    assert catalog.names == ("raw_shop_orders", "orders", "dim_customer", "fact_orders", "daily_orders")
    assert [contract.name for contract in catalog] == list(catalog.names)
    assert len(catalog) == 5
    assert "orders" in catalog
    assert "order" not in catalog


def test_a_folder_without_contracts_is_an_empty_catalog(tmp_path: Path) -> None:
    assert load_catalog(tmp_path) == Catalog(())


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="/nowhere: there is no such folder of tables; put DATAPLATFORM_TABLES"):
        load_catalog(tmp_path / "nowhere")


def test_a_table_is_found_with_and_without_its_layer(shop: TableFactory) -> None:
    catalog = shop.catalog()

    assert catalog.get("orders") is catalog.get("cleaned.orders")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("order", r"no table called 'order'; did you mean orders"),
        ("raw.orders", r"no table called 'raw\.orders'; did you mean .*cleaned\.orders"),
        ("a.cleaned.orders", r"no table called 'a\.cleaned\.orders'; did you mean cleaned\.orders"),
    ],
)
def test_a_wrong_name_gets_the_nearest_ones(shop: TableFactory, name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        shop.catalog().get(name)


def test_the_graph_is_asked_in_both_directions(shop: TableFactory) -> None:
    catalog = shop.catalog()

    assert catalog.upstream("fact_orders") == ("orders", "dim_customer")
    assert catalog.downstream("orders") == ("dim_customer", "fact_orders")
    assert catalog.ancestors("dimensional.fact_orders") == ("raw_shop_orders", "orders", "dim_customer")
    assert catalog.descendants("dim_customer") == ("fact_orders", "daily_orders")
    assert catalog.descendants("daily_orders") == ()


@pytest.mark.parametrize(
    ("expressions", "names"),
    [
        ([], "raw_shop_orders orders dim_customer fact_orders daily_orders"),
        (["*"], "raw_shop_orders orders dim_customer fact_orders daily_orders"),
        (["fact_orders"], "fact_orders"),
        (["dimensional.fact_orders", "orders"], "orders fact_orders"),
        (["dimensional.*"], "dim_customer fact_orders"),
        (["+dim_customer"], "raw_shop_orders orders dim_customer"),
        (["dim_customer+"], "dim_customer fact_orders daily_orders"),
        (["+dim_customer+"], "raw_shop_orders orders dim_customer fact_orders daily_orders"),
        (["+cleaned.*"], "raw_shop_orders orders"),
    ],
)
def test_tables_are_selected_by_expressions(shop: TableFactory, expressions: list[str], names: str) -> None:
    assert shop.catalog().select(expressions) == tuple(names.split())


@pytest.mark.parametrize(
    ("expression", "message"),
    [("+order", "no table called 'order'"), ("clean.*", "no layer called 'clean'; did you mean cleaned")],
)
def test_a_selection_of_nothing_is_an_error(shop: TableFactory, expression: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        shop.catalog().select([expression])


@pytest.mark.parametrize("window", ["previous", "before"])
def test_a_table_may_read_its_own_past(shop: TableFactory, window: str) -> None:
    mine = {"parameter": "earlier", "table": "daily_totals", "window": window}
    shop.add("aggregate", "daily_totals", {"total": "BIGINT", **DAY}, inputs=["orders", mine], partitioning="day")
    catalog = shop.catalog()

    assert catalog.upstream("daily_totals") == ("orders",)
    assert "daily_totals" not in catalog.downstream("daily_totals")


@pytest.mark.parametrize("window", ["same", "all", {"back": 1}])
def test_a_table_may_not_read_its_own_present(shop: TableFactory, window: Any) -> None:
    mine = {"parameter": "earlier", "table": "daily_totals", "window": window}
    shop.add("aggregate", "daily_totals", {"total": "BIGINT", **DAY}, inputs=["orders", mine], partitioning="day")

    (line,) = problems(shop)

    assert line.startswith(
        "aggregate/daily_totals.yaml: customProperties[inputs].value[earlier].window: the table reads"
    )
    assert line.endswith("write previous or before: only its past exists")


def test_a_month_may_read_days_and_a_day_months(shop: TableFactory) -> None:
    month: dict[str, ColumnText] = {"business_month": "DATE partitioned"}
    shop.add("aggregate", "monthly_orders", month, inputs=["orders"], partitioning="month")
    shop.add("aggregate", "daily_shares", DAY, inputs=["orders", "monthly_orders"], partitioning="day")

    assert shop.catalog().upstream("daily_shares") == ("orders", "monthly_orders")


@pytest.mark.parametrize(("window", "words"), [("previous", "previous"), ({"back": 1}, "1 back, 0 ahead")])
def test_partitions_of_two_grains_are_not_counted(shop: TableFactory, window: Any, words: str) -> None:
    month: dict[str, ColumnText] = {"business_month": "DATE partitioned"}
    given = [{"table": "orders", "window": window}]
    shop.add("aggregate", "monthly_orders", month, inputs=given, partitioning="month")

    assert problems(shop) == [
        (
            f"aggregate/monthly_orders.yaml: customProperties[inputs].value[orders].window: "
            f"window {words} counts partitions of two grains, month and day; write same, before or all"
        )
    ]


@pytest.mark.parametrize(
    ("partitioning", "table", "whole"), [(None, "orders", "shop_totals"), ("day", "dim_customer", "dim_customer")]
)
def test_without_partitions_the_window_is_all(
    shop: TableFactory, partitioning: str | None, table: str, whole: str
) -> None:
    columns: dict[str, ColumnText] = DAY if partitioning else {"order_id": "BIGINT"}
    shop.add("aggregate", "shop_totals", columns, inputs=[{"table": table}], partitioning=partitioning)

    assert problems(shop) == [
        (
            f"aggregate/shop_totals.yaml: customProperties[inputs].value[{table}].window: "
            f"{whole} has no partitions for window same; write window: all"
        )
    ]


def test_an_input_that_does_not_exist_is_named_with_the_nearest(shop: TableFactory) -> None:
    shop.add("aggregate", "daily_totals", DAY, inputs=["order"], partitioning="day")

    assert problems(shop) == [
        (
            "aggregate/daily_totals.yaml: customProperties[inputs].value[order].table: "
            "there is no table 'order'; did you mean 'orders'?"
        )
    ]


def test_an_earlier_layer_may_not_read_a_later_one(shop: TableFactory) -> None:
    shop.add("cleaned", "daily_things", DAY, inputs=["fact_orders"], partitioning="day")

    assert problems(shop) == [
        (
            "cleaned/daily_things.yaml: customProperties[inputs].value[fact_orders].table: "
            "dimensional.fact_orders is of a later layer than cleaned.daily_things; read an earlier layer"
        )
    ]


def test_a_projection_names_columns_that_exist(shop: TableFactory) -> None:
    given = {"table": "orders", "columns": ["order_id", "customer"]}
    shop.add("aggregate", "daily_totals", DAY, inputs=[given], partitioning="day")

    assert problems(shop) == [
        (
            "aggregate/daily_totals.yaml: customProperties[inputs].value[orders].columns: "
            "orders has no column 'customer'; did you mean 'customer_id'?"
        )
    ]


@pytest.mark.parametrize(
    ("total", "problem"),
    [
        ("order_id * unit_price", "there is no column unit_price"),
        ("sum(order_id)", "Binder Error: WHERE clause cannot contain aggregates!"),
        ("customer_id", "it is VARCHAR, whose sums are not exact amounts"),
        ("order_id / 2", "it is DOUBLE, whose sums are not exact amounts"),
        ("(SELECT 1)", "it must be one expression over the row's own columns"),
    ],
)
def test_what_is_reconciled_is_an_exact_amount_of_the_inputs_rows(shop: TableFactory, total: str, problem: str) -> None:
    given = {"reconciles": [{"column": "order_count", "with": "orders", "sum": total}]}
    columns: dict[str, ColumnText] = {"order_count": "BIGINT", **DAY}
    shop.add("aggregate", "daily_totals", columns, inputs=["orders"], partitioning="day", custom=given)

    assert problems(shop) == [
        (
            f"aggregate/daily_totals.yaml: customProperties[reconciles].value[order_count]: {total!r}: {problem}; "
            "write a sum over columns of orders, such as quantity * unit_price"
        )
    ]


def test_a_day_cannot_be_reconciled_with_its_month(shop: TableFactory) -> None:
    count: dict[str, ColumnText] = {"order_count": "BIGINT", **DAY}
    shop.add("aggregate", "monthly_orders", count, inputs=["orders"], partitioning="month")
    given = {"reconciles": [{"column": "order_count", "with": "monthly_orders"}]}
    shop.add("aggregate", "daily_totals", count, inputs=["monthly_orders"], partitioning="day", custom=given)

    assert problems(shop) == [
        (
            "aggregate/daily_totals.yaml: customProperties[reconciles].value[order_count]: "
            "a day holds a part of a month; reconcile a whole period"
        )
    ]


@pytest.mark.parametrize(
    ("table", "references", "uses", "line"),
    [
        ("orders", "order_id", ["order_id"], "lookup: orders is not a dimension; add the custom property dimension"),
        (
            "dim_customer",
            "name",
            ["customer_key"],
            "lookup.references: 'name' identifies no member of dim_customer; write customer_id or customer_key",
        ),
        (
            "dim_customer",
            "customer_key",
            ["customer_kye"],
            "lookup.uses: dim_customer has no column 'customer_kye'; did you mean 'customer_key'?",
        ),
    ],
)
def test_a_lookup_names_a_dimension_and_its_columns(
    shop: TableFactory, table: str, references: str, uses: list[str], line: str
) -> None:
    lookup = {"column": "customer_id", "references": references, "uses": uses}
    columns: dict[str, ColumnText] = {"customer_id": "VARCHAR", **DAY}
    given = {"table": table, "window": "all", "lookup": lookup}
    shop.add("aggregate", "daily_totals", columns, inputs=[given], partitioning="day")

    (found,) = problems(shop)

    assert f"customProperties[inputs].value[{table}].{line}" in found


@pytest.mark.parametrize(
    ("to", "line"),
    [
        ("dim_customers.customer_key", "there is no table 'dim_customers'; did you mean 'dim_customer'?"),
        ("dim_customer.customer_kye", "dim_customer has no column 'customer_kye'; did you mean 'customer_key'?"),
        ("dim_customer.customer_id", "BIGINT and VARCHAR cannot be compared; give both columns one type"),
    ],
)
def test_a_relationship_names_a_column_it_can_be_compared_with(shop: TableFactory, to: str, line: str) -> None:
    columns: dict[str, ColumnText] = {"customer_key": ("BIGINT", {"relationships": [{"to": to}]}), **DAY}
    shop.add("aggregate", "daily_totals", columns, inputs=["orders"], partitioning="day")

    place = "aggregate/daily_totals.yaml: schema[daily_totals].properties[customer_key].relationships"
    assert problems(shop) == [f"{place}: {line}"]


def test_a_circle_is_named_in_the_direction_of_the_data(shop: TableFactory) -> None:
    for name, read in (("daily_a", "daily_c"), ("daily_b", "daily_a"), ("daily_c", "daily_b")):
        shop.add("aggregate", name, DAY, inputs=[read], partitioning="day")

    (line,) = problems(shop)

    assert ": inputs and relationships wait for each other in a circle, " in line
    circle = line.split("a circle, ")[1].removesuffix("; break it").split(" → ")
    assert circle[0] == circle[-1]
    assert " → ".join(circle * 2).count("daily_a → daily_b → daily_c") >= 1


def test_what_a_relationship_points_at_stands_first(shop: TableFactory) -> None:
    to = {"relationships": [{"to": "dim_warehouse.warehouse_key"}]}
    columns: dict[str, ColumnText] = {"warehouse_key": ("BIGINT", to), **DAY}
    shop.add("dimensional", "bridge_a_b", columns, inputs=["orders"], partitioning="day")
    shop.add("dimensional", "dim_warehouse", {"warehouse_key": "BIGINT key"}, inputs=["orders"])
    catalog = shop.catalog()

    assert catalog.names.index("dim_warehouse") < catalog.names.index("bridge_a_b")
    assert catalog.upstream("bridge_a_b") == ("orders",)
    assert catalog.select(["+bridge_a_b"]) == ("raw_shop_orders", "orders", "dim_warehouse", "bridge_a_b")


def test_a_relationship_can_close_a_circle(shop: TableFactory) -> None:
    to = {"relationships": [{"to": "daily_b.order_id"}]}
    shop.add("aggregate", "daily_a", {"order_id": ("BIGINT", to), **DAY}, inputs=["orders"], partitioning="day")
    shop.add("aggregate", "daily_b", {"order_id": "BIGINT", **DAY}, inputs=["daily_a"], partitioning="day")

    (line,) = problems(shop)

    assert "in a circle, daily_" in line


def test_two_tables_of_one_name_are_refused(shop: TableFactory) -> None:
    shop.add("dimensional", "orders", DAY, inputs=["raw_shop_orders"], partitioning="day")

    (line,) = problems(shop)

    assert line == (
        f"dimensional/orders.yaml: name: table 'orders' is also in {shop.tables_dir}/cleaned/orders.yaml; "
        "rename one, names are unique across layers"
    )


def test_a_contract_without_function_is_refused(shop: TableFactory) -> None:
    (shop.tables_dir / "cleaned/orders.py").unlink()

    assert problems(shop) == [
        "cleaned/orders.yaml: whole file: a contract without function; write orders.py or orders.sql beside it"
    ]


@pytest.mark.parametrize("file", ["refunds.py", "refunds.sql"])
def test_a_function_without_contract_is_refused(shop: TableFactory, file: str) -> None:
    (shop.tables_dir / "cleaned" / file).write_text("", encoding="utf-8")

    assert problems(shop) == [f"cleaned/{file}: whole file: a function without contract; write refunds.yaml beside it"]


def test_helpers_need_no_contract(shop: TableFactory) -> None:
    (shop.tables_dir / "cleaned/_helpers.py").write_text("", encoding="utf-8")
    (shop.tables_dir / "keys.py").write_text("", encoding="utf-8")

    assert len(shop.catalog()) == 5


def test_two_functions_of_one_table_are_refused(shop: TableFactory) -> None:
    (shop.tables_dir / "cleaned/orders.sql").write_text("SELECT 1", encoding="utf-8")

    assert problems(shop) == ["cleaned/orders.yaml: whole file: two functions, orders.py and orders.sql; keep one"]


def test_a_raw_table_has_no_function(shop: TableFactory) -> None:
    (shop.tables_dir / "raw/raw_shop_orders.py").write_text("", encoding="utf-8")

    assert problems(shop) == [
        (
            "raw/raw_shop_orders.yaml: whole file: a raw table is made by its source, not by raw_shop_orders.py; "
            "remove the function"
        )
    ]


def test_the_folder_is_the_layer(shop: TableFactory) -> None:
    shop.add("cleaned", "refunds", DAY, inputs=["orders"], partitioning="day", document={"id": "aggregate.refunds"})

    assert problems(shop) == [
        "cleaned/refunds.yaml: id: the layer is aggregate, the folder cleaned; make them the same"
    ]


@pytest.mark.parametrize("name", ["cleaned/refunds.yml", "refunds.yaml"])
def test_a_contract_that_would_not_be_read_is_refused(shop: TableFactory, name: str) -> None:
    (shop.tables_dir / name).write_text("", encoding="utf-8")

    assert problems(shop) == [f"{name}: whole file: not where contracts are read; name it <layer>/<table>.yaml"]


def test_problems_of_several_files_are_told_together(shop: TableFactory) -> None:
    shop.add("aggregate", "daily_a", DAY, inputs=["order"], partitioning="day")
    shop.add("aggregate", "daily_b", DAY, inputs=["fact_order"], partitioning="day")

    assert [line.split(":")[0] for line in problems(shop)] == ["aggregate/daily_a.yaml", "aggregate/daily_b.yaml"]


def test_files_that_do_not_read_by_themselves_are_told_together(shop: TableFactory) -> None:
    shop.add("aggregate", "daily_a", DAY, custom={"rounding": "up"}, inputs=["orders"], partitioning="day")
    shop.add("aggregate", "daily_b", DAY, custom={"physical": "up"}, inputs=["orders"], partitioning="day")

    assert [line.split(":")[0] for line in problems(shop)] == ["aggregate/daily_a.yaml", "aggregate/daily_b.yaml"]
