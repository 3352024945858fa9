"""A contract file is read whole, and every mistake in it is told with its place and its fix."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataplatform.contracts.model import (
    WHOLE,
    Contract,
    Dimension,
    Grain,
    Input,
    Latency,
    Layer,
    Lookup,
    Severity,
    Window,
)
from dataplatform.contracts.reader import read_contract
from dataplatform.errors import ContractError

Edit = Callable[[dict[str, Any]], object]

ORDERS = """
apiVersion: v3.1.0
kind: DataContract
id: cleaned.orders
name: orders
version: 1.0.0
tags: [shop]
description: {purpose: Orders of the shop.}
team: {name: sales, members: [{username: sales@example.com, role: owner}]}
slaProperties: [{property: latency, value: 26, unit: h, element: orders.business_date}]
schema:
  - name: orders
    logicalType: object
    physicalType: table
    dataGranularityDescription: one row per order
    properties:
      - {name: order_id, logicalType: integer, physicalType: BIGINT, description: Its number., required: true,
         primaryKey: true, primaryKeyPosition: 1}
      - {name: customer_id, logicalType: string, physicalType: VARCHAR, description: Who., classification: confidential}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(18,3)", description: How much.,
         customProperties: [{property: unit, value: GBP}]}
      - {name: share_ratio, logicalType: number, physicalType: DOUBLE, description: A share.}
      - {name: labels, logicalType: array, physicalType: "VARCHAR[]", description: Labels.,
         items: {logicalType: string}}
      - {name: is_paid, logicalType: boolean, physicalType: BOOLEAN, description: Whether paid.}
      - {name: ordered_at, logicalType: timestamp, physicalType: TIMESTAMP, description: When.}
      - {name: business_date, logicalType: date, physicalType: DATE, description: Day., required: true,
         partitioned: true, partitionKeyPosition: 1}
    quality: []
customProperties:
  - {property: inputs, value: [{table: raw_shop_orders}, {table: dim_customer, window: all}]}
  - {property: partitioning, value: day}
"""
COLUMNS = ["order_id", "customer_id", "amount", "share_ratio", "labels", "is_paid", "ordered_at", "business_date"]


def read(folder: Path, *edits: Edit, file: str = "cleaned/orders.yaml") -> Contract:
    """The contract above after `edits`, written and read."""
    document = yaml.safe_load(ORDERS)
    for edit in edits:
        edit(document)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return read_contract(path)


def problems(folder: Path, *edits: Edit, file: str = "cleaned/orders.yaml") -> list[str]:
    """The problems of the contract above after `edits`, each without the file's name."""
    with pytest.raises(ContractError) as caught:
        read(folder, *edits, file=file)
    start = f"{folder / file}: "
    assert all(line.startswith(start) for line in caught.value.problems)
    assert all(re.fullmatch(r".+; .+", line) for line in caught.value.problems)
    return [line.removeprefix(start) for line in caught.value.problems]


def at_root(**values: Any) -> Edit:
    return lambda document: document.update(values)


def without(*keys: str) -> Edit:
    return lambda document: [document.pop(key) for key in keys]


def table(**values: Any) -> Edit:
    return lambda document: document["schema"][0].update(values)


def column(name: str, /, **values: Any) -> Edit:
    return lambda document: document["schema"][0]["properties"][COLUMNS.index(name)].update(values)


def options(name: str, /, **values: Any) -> Edit:
    return column(name, logicalTypeOptions=values)


def quality(**values: Any) -> Edit:
    return table(quality=[values])


def custom(**values: Any) -> Edit:
    """Replaces custom properties; None removes one."""

    def edit(document: dict[str, Any]) -> None:
        kept = {each["property"]: each["value"] for each in document["customProperties"]} | values
        listed = [{"property": key, "value": value} for key, value in kept.items() if value is not None]
        document["customProperties"] = listed

    return edit


def inputs(*values: Any) -> Edit:
    return custom(inputs=list(values))


def reconciles(changed: dict[str, Any] | None = None, /, **values: Any) -> Edit:
    """One reconciled column, changed as asked; `changed` are keys of the column itself."""
    given = {"column": "amount", "with": "raw_shop_orders"} | values
    return all_edits(custom(reconciles=[given]), column(given["column"], **changed) if changed else custom())


def latency(element: str = "orders.business_date", **more: Any) -> Edit:
    promise = {"property": "latency", "value": 26, "unit": "h", "element": element}
    extra = [{"property": key, "value": value} for key, value in more.items()]
    return at_root(slaProperties=[promise | ({"customProperties": extra} if extra else {})])


def all_edits(*edits: Edit) -> Edit:
    return lambda document: [edit(document) for edit in edits]


def unpartitioned() -> Edit:
    return all_edits(custom(partitioning=None), column("business_date", partitioned=False))


def raw() -> Edit:
    return all_edits(at_root(id="raw.orders"), custom(inputs=None, source={"kind": "landing", "folder": "orders"}))


def test_a_latency_may_say_when_the_warning_comes(tmp_path: Path) -> None:
    assert read(tmp_path, at_root(slaProperties=[])).latency is None
    promised = read(tmp_path, latency(warnAfter=25)).latency
    assert promised == Latency(26, "h", "business_date", 25)
    assert (promised.duration, promised.warning) == (timedelta(hours=26), timedelta(hours=25))
    days = read(tmp_path, at_root(slaProperties=[{"property": "latency", "value": 2, "unit": "d"}])).latency
    assert days is not None
    assert (days.duration, days.warning, days.column) == (timedelta(days=2), None, None)


def test_a_contract_becomes_the_platforms_model(tmp_path: Path) -> None:
    contract = read(tmp_path)

    assert (contract.layer, contract.name, contract.full_name) == (Layer.CLEANED, "orders", "cleaned.orders")
    assert (contract.version, contract.description) == ("1.0.0", "Orders of the shop.")
    assert (contract.grain_text, contract.owner) == ("one row per order", "sales@example.com")
    assert contract.tags == ("shop",)
    assert contract.sla == {"latency": {"value": 26, "unit": "h", "column": "business_date"}}
    assert contract.column_names == tuple(COLUMNS)
    assert str(contract.column("amount").type) == "DECIMAL(18,3)"
    assert contract.column("amount").unit == "GBP"
    assert contract.private_columns == {"customer_id"}
    assert contract.primary_key == ("order_id",)
    assert (contract.grain, contract.partition_column, contract.physical) == (
        Grain.DAY,
        "business_date",
        "partitioned",
    )
    assert contract.inputs == (
        Input("raw_shop_orders", "raw_shop_orders"),
        Input("dim_customer", "dim_customer", Window("all")),
    )
    assert (contract.quarantine_share, contract.rounding, contract.source) == (0.1, "exact", None)
    assert contract.path == tmp_path / "cleaned/orders.yaml"


def test_custom_properties_say_what_the_standard_cannot(tmp_path: Path) -> None:
    contract = read(
        tmp_path,
        custom(
            settings={"first_month": 4, "codes": ["a"]},
            physical="none",
            rowPreserving=["raw_shop_orders"],
            quarantineShare=0.5,
            rounding="half_up",
            dimension={"id": "customer_id", "key": "order_id"},
        ),
    )

    assert contract.settings == {"first_month": 4, "codes": ["a"]}
    assert (contract.physical, contract.row_preserving) == ("none", ("raw_shop_orders",))
    assert (contract.quarantine_share, contract.rounding) == (0.5, "half_up")
    assert contract.dimension == Dimension("customer_id", "order_id")


def test_a_table_without_partitioning_has_one_slice(tmp_path: Path) -> None:
    contract = read(tmp_path, unpartitioned())

    assert (contract.grain, contract.partition_column, contract.physical) == (Grain.NONE, None, "none")
    assert not contract.is_partitioned
    assert WHOLE == "all"


def test_a_raw_table_names_its_source_and_may_quarantine(tmp_path: Path) -> None:
    contract = read(tmp_path, raw(), custom(quarantineShare=1))

    assert contract.source == {"kind": "landing", "folder": "orders"}
    assert contract.quarantine_share == 1.0


def test_later_layers_have_no_quarantine(tmp_path: Path) -> None:
    contract = read(tmp_path, at_root(id="aggregate.orders"))

    assert contract.quarantine_share == 0.0


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ("same", Window("same")),
        ("all", Window("all")),
        ("before", Window("before")),
        ("previous", Window("previous")),
        ({"back": 7}, Window("range", 7, 0)),
        ({"back": 1, "ahead": 2}, Window("range", 1, 2)),
    ],
)
def test_each_window_can_be_written(tmp_path: Path, written: Any, window: Window) -> None:
    contract = read(tmp_path, inputs({"parameter": "around", "table": "raw_shop_orders", "window": written}))

    assert contract.inputs == (Input("around", "raw_shop_orders", window),)


def test_a_lookup_and_a_projection_belong_to_their_input(tmp_path: Path) -> None:
    lookup = {"column": "customer_id", "references": "customer_id", "uses": ["customer_key"]}
    one = {"table": "dim_customer", "window": "all", "columns": ["customer_id", "customer_key"], "lookup": lookup}

    (found,) = read(tmp_path, inputs(one)).inputs

    assert found.columns == ("customer_id", "customer_key")
    assert found.lookup == Lookup("customer_id", "customer_id", ("customer_key",))


def test_a_composite_key_keeps_the_order_of_its_positions(tmp_path: Path) -> None:
    key = all_edits(
        column("order_id", primaryKeyPosition=2),
        column("business_date", primaryKey=True, primaryKeyPosition=1),
    )

    assert read(tmp_path, key).primary_key == ("business_date", "order_id")


def test_all_problems_of_a_file_are_told_together(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        without("team"),
        column("order_id", physicalType="BIGIN"),
        column("customer_id", uniqe=True),
        options("amount", minimum=5, maximum=1),
        custom(rounding="up"),
    )

    assert found == [
        "schema[orders].properties[customer_id]: unknown key 'uniqe'; did you mean 'unique'?",
        "schema[orders].properties[order_id].physicalType: unknown type 'BIGIN'; did you mean 'BIGINT'?",
        "customProperties[rounding].value: 'up' is not known; use one of exact, half_up",
        (
            "schema[orders].properties[amount].logicalTypeOptions.minimum: 5 is above maximum 1; "
            "no value could pass: correct one of them"
        ),
        "team: the table has no owner; add members: [{username: <e-mail>, role: owner}]",
    ]


REFUSED: list[tuple[Edit, str]] = [
    # the file against the standard
    (at_root(surprise=1), "unknown key 'surprise'"),
    (without("version"), "key 'version' is missing; add it"),
    (at_root(version=1), "version: 1 is not of type string; write it as one"),
    (at_root(kind="Contract"), "kind: 'Contract' is not known; did you mean 'DataContract'?"),
    (at_root(apiVersion="v2.2.2"), "apiVersion: v2.2.2 is not read here; write v3.1.0"),
    (quality(id="a", metric="rowCount"), "quality[a]: exactly one comparison is needed"),
    (quality(id="a", metric="rowCount", mustBe=1, mustNotBe=2), "quality[a]: exactly one comparison is needed"),
    (quality(id="a", type="sql", query="SELECT 1", mustBe=0, engine="x"), "key 'engine' does not belong here"),
    (quality(id="a b", type="text"), "quality[a b].id: 'a b' does not match"),
    (
        at_root(team={"name": "x", "members": [{"username": "a@b.c", "rol": "owner"}]}),
        "unknown key 'rol'; did you mean",
    ),
    (column("order_id", relationships=[{"to": "nowhere"}]), "relationships[0].to: "),
    (column("order_id", examples="1"), "examples: '1' is not of type array"),
    (column("customer_id", enum=[]), "enum: [] should be non-empty; see the Open Data Contract Standard"),
    (quality(id="a", type="test"), "quality[a].type: 'test' is not known; did you mean 'text'?"),
    (
        lambda document: document["schema"][0]["properties"][2].pop("name"),
        "properties[2]: key 'name' is missing; add it",
    ),
    # identity
    (at_root(id="cleaned.sales"), "id: 'cleaned.sales' is not <layer>.orders; write <layer>.orders"),
    (at_root(id="clean.orders"), "id: 'clean' is not a layer; did you mean 'cleaned'?"),
    (at_root(name="sales"), "name: 'sales' is not the file's name; write orders, or rename the file"),
    (table(name="sales"), "schema[sales].name: 'sales' is not the file's name; write orders"),
    (at_root(schema=[]), "schema: 0 objects in one file; describe exactly one table per file"),
    (
        lambda document: document["schema"].append(document["schema"][0]),
        "schema: 2 objects in one file; describe exactly one table per file",
    ),
    (table(physicalType="view"), "physicalType: 'view' is not made here; write table"),
    (
        table(relationships=[{"from": "orders.order_id", "to": "dim_customer.customer_key"}]),
        "relationships: relationships of the table are not read; write each at its column",
    ),
    # what people are told
    (at_root(description={}), "description.purpose: what the table is for is missing; write it"),
    (table(dataGranularityDescription=""), "dataGranularityDescription: what one row is is missing; write it"),
    (column("amount", description=" "), "properties[amount].description: the column's description is missing"),
    (at_root(team={"name": "x", "members": []}), "team: the table has no owner; add members"),
    (at_root(team=[{"username": "a@b.c", "role": "owner"}]), "team: the list form of team is deprecated"),
    (
        at_root(team={"members": [{"username": "bob", "role": "owner"}]}),
        "team.members[bob].username: 'bob' reaches nobody; write an e-mail address or team:<name>",
    ),
    (
        at_root(slaProperties=[{"property": "latency", "value": 1, "unit": "h", "element": "orders.day"}]),
        "slaProperties[latency].element: there is no column 'orders.day'",
    ),
    (
        at_root(slaProperties=[{"property": "latency", "value": "soon"}]),
        "slaProperties[latency]: latency 'soon' '' is no duration; give a number above 0 and the unit h or d",
    ),
    (
        at_root(slaProperties=[{"property": "latency", "value": 0, "unit": "h"}]),
        "slaProperties[latency]: latency 0 'h' is no duration; give a number above 0 and the unit h or d",
    ),
    (
        latency(warnAfter=26),
        "slaProperties[latency].customProperties[warnAfter].value: 26 does not come before 26 h; give a smaller number",
    ),
    (
        latency(warnAfter="soon"),
        "slaProperties[latency].customProperties[warnAfter].value: 'soon' does not come before 26 h",
    ),
    (
        latency(warnBefore=1),
        "slaProperties[latency].customProperties[warnBefore]: unknown custom property 'warnBefore'",
    ),
    (
        latency("orders.amount"),
        "slaProperties[latency].element: a DECIMAL(18,3) carries no time; name a column of type DATE or TIMESTAMP",
    ),
    (custom(anomalies="all"), "customProperties[anomalies].value: 'all' is not a mapping; write {} for the defaults"),
    (custom(anomalies={"level": 3}), "customProperties[anomalies].value: unknown key 'level'; "),
    (custom(anomalies={"severity": "fatal"}), "value.severity: 'fatal' is not known; "),
    (custom(anomalies={"leaveOut": ["amont"]}), "value.leaveOut: there is no column 'amont'; did you mean 'amount'?"),
    (custom(anomalies={"values": "amount"}), "value.values: 'amount' names no column; list columns"),
    (
        custom(anomalies={"values": ["customer_id"]}),
        "value.values: customer_id is private: its values are not kept; remove it",
    ),
    (custom(anomalies={"weeks": 1}), "value.weeks: 1 is too little history; write a whole number from 2 on"),
    (custom(anomalies={"days": True}), "value.days: True is too little history; write a whole number from 5 on"),
    (
        all_edits(custom(anomalies={}), unpartitioned()),
        "value: days are compared with the days before them; add partitioning: day, or remove it",
    ),
    (
        custom(reconciles=[{"column": "amount", "with": "raw_shop_orders"}]),
        "cleaned tables quarantine rows, whose amounts are in no sum; write rowPreserving: [<input>]",
    ),
    (custom(reconciles={"column": "amount"}), "{'column': 'amount'} names no column; write [{column: …, with: "),
    (reconciles(column="amont"), "column: there is no column 'amont'; did you mean 'amount'?"),
    (reconciles(column="share_ratio"), "sums of DOUBLE are not exact; name a column of INTEGER, BIGINT or DECIMAL"),
    (
        reconciles({"logicalType": "integer", "physicalType": "BIGINT"}, column="customer_id"),
        "customer_id is private: its sums are not shown; remove it",
    ),
    (reconciles(**{"with": "orders"}), "with: 'orders' is not an input; "),
    (reconciles(**{"with": "dim_customer"}), "dim_customer is read at window all; name an input of the same period"),
    (reconciles(sum=3), "sum: the expression that is summed is missing; write it"),
    (reconciles(total="amount"), "unknown key 'total'; "),
    # columns
    (table(properties=[]), "properties: the table has no columns; list them"),
    (
        lambda document: document["schema"][0]["properties"].append(document["schema"][0]["properties"][0]),
        "properties[order_id]: column 'order_id' stands twice; keep one",
    ),
    (column("amount", name="Amount"), "column name 'Amount' is not snake_case"),
    (column("amount", physicalName="betrag"), "physicalName: a column has one name; remove it"),
    (column("amount", encryptedName="x"), "encryptedName: a column has one name; remove it"),
    (
        column("amount", properties=[{"name": "a", "logicalType": "string", "physicalType": "VARCHAR"}]),
        "properties[amount].properties: columns hold no columns; make each its own column",
    ),
    (column("amount", physicalType="INTEGR"), "physicalType: unknown type 'INTEGR'; did you mean 'INTEGER'?"),
    (column("amount", physicalType=None), "physicalType: the column's type is missing; write it"),
    (column("amount", physicalType="DECIMAL(40,3)"), "unknown type 'DECIMAL(40,3)'"),
    (
        column("amount", logicalType="integer"),
        "logicalType: logicalType 'integer' does not go with DECIMAL(18,3); write number",
    ),
    (
        lambda document: document["schema"][0]["properties"][2].pop("logicalType"),
        "logicalType: it is missing; write number",
    ),
    (column("labels", items={"logicalType": "integer"}), "items.logicalType: VARCHAR[] holds no integer; write string"),
    (column("amount", customProperties=[]), "properties[amount]: an amount of money has no unit; add customProperties"),
    (
        column("amount", customProperties=[{"property": "unit", "value": ""}]),
        "customProperties[unit].value: the unit is missing; write it",
    ),
    (
        column("labels", customProperties=[{"property": "units", "value": "x"}]),
        "customProperties[units]: unknown custom property 'units'; did you mean 'unit'?",
    ),
    (column("order_id", required=False), "properties[order_id]: a primary key column may be NULL; add required: true"),
    (
        column("business_date", primaryKey=True, primaryKeyPosition=1),
        "primaryKeyPosition: the positions of order_id, business_date are [1, 1]; number them from 1 to 2",
    ),
    # rules that columns imply
    (
        column("is_paid", enum=[{"value": "yes"}]),
        "enum[yes]: 'yes' is not a BOOLEAN; write it as a value of the column's",
    ),
    (options("order_id", minLength=3), "logicalTypeOptions.minLength: does not apply to BIGINT; use one of"),
    (options("order_id", minimun=3), "logicalTypeOptions.minimun: does not apply to BIGINT; did you mean 'minimum'?"),
    (options("is_paid", minimum=0), "minimum: does not apply to BOOLEAN; remove it"),
    (options("labels", minItems=1), "minItems: does not apply to VARCHAR[]; remove it"),
    (options("share_ratio", multipleOf=0.1), "multipleOf: does not apply to DOUBLE; use one of"),
    (options("business_date", format="yyyy-MM-dd"), "format: does not apply to DATE; use one of"),
    (options("business_date", minimum="2011-13-01"), "minimum: '2011-13-01' is not a DATE; write the bound as a value"),
    (options("order_id", minimum=1.5), "minimum: 1.5 is not a BIGINT; write the bound as a value"),
    (options("ordered_at", timezone=False), "timezone: a TIMESTAMP is always UTC with zone; remove it"),
    (options("customer_id", minLength=5, maxLength=2), "minLength: 5 is above maxLength 2; no value could pass"),
    (options("customer_id", pattern="(?=x)"), "pattern: not a usable pattern"),
    (options("customer_id", format="ipv6"), "format: format 'ipv6' is not checked here; did you mean 'ipv4'?"),
    (options("order_id", format="u64"), "format: format 'u64' is not checked here"),
    (
        column("order_id", enum=[{"value": "a"}]),
        "enum[a]: 'a' is not a BIGINT; write it as a value of the column's type",
    ),
    (
        column("order_id", relationships=[{"to": "a.b"}, {"to": "c.d"}]),
        "relationships: a column refers to one table; keep one relationship",
    ),
    (
        column("order_id", relationships=[{"to": "dimensional.dim_customer.customer_key"}]),
        "relationships[0].to: 'dimensional.dim_customer.customer_key' names no column; write <table>.<column>",
    ),
    (
        column("labels", customProperties=[{"property": "severity", "value": {"unique": "warning"}}]),
        "customProperties[severity].value: the column has no rule 'unique'; remove it",
    ),
    (
        column("labels", unique=True, customProperties=[{"property": "severity", "value": {"unique": "warn"}}]),
        "value.unique: 'warn' is not known; did you mean 'warning'?",
    ),
    (
        column("labels", customProperties=[{"property": "severity", "value": "warning"}]),
        "customProperties[severity].value: 'warning' is not a mapping; write {<rule>: warning}",
    ),
    # quality items
    (quality(metric="rowCount", mustBe=1), "the rule has no name; give it an id"),
    (quality(id="a"), "quality[a]: the rule has neither a type nor a metric"),
    (quality(id="a", metric="rowCount", mustBe=1, severity="info"), "quality[a].severity: 'info' is not known"),
    (quality(id="a", metric="rowCount", mustBe="many"), "mustBe: 'many' is not a number; write a number"),
    (quality(id="a", metric="rowCount", mustBeBetween=[9, 1]), "[9, 1] has its bounds the wrong way round"),
    (quality(id="a", metric="rowCount", mustBe=1, unit="percent"), "unit: a row count has no percentage; write rows"),
    (quality(id="a", metric="rowCount", mustBe=1, unit="row"), "unit: 'row' is not known; did you mean 'rows'?"),
    (quality(id="a", metric="rowCount", mustBe=1, arguments={"x": 1}), "arguments: unknown key 'x'; remove it"),
    (quality(id="a", metric="rowCounts", mustBe=1), "metric: 'rowCounts' is not known; did you mean 'rowCount'?"),
    (
        quality(id="a", metric="nullValues", mustBe=0),
        "nullValues is a metric of a property; move the rule to a property",
    ),
    (
        column("amount", quality=[{"id": "a", "metric": "rowCount", "mustBe": 1}]),
        "rowCount is a metric of the table; move the rule to the table",
    ),
    (
        quality(id="a", type="library", metric="rowCount", rule="rowCount", mustBe=1),
        "`rule` is the old name of a metric",
    ),
    (
        quality(id="a", metric="rowCount", mustBe=1, schedule="0 20 * * *"),
        "rules run with every publication; remove it",
    ),
    (quality(id="a", metric="duplicateValues", mustBe=0), "duplicateValues of a table needs its columns"),
    (
        quality(id="a", metric="duplicateValues", mustBe=0, arguments={"properties": ["order_di"]}),
        "there is no column 'order_di'; did you mean 'order_id'?",
    ),
    (
        column("amount", quality=[{"id": "a", "metric": "missingValues", "mustBe": 0}]),
        "arguments: missingValues needs missingValues; add it",
    ),
    (
        column("amount", quality=[{"id": "a", "metric": "invalidValues", "mustBe": 0}]),
        "arguments: invalidValues needs validValues or pattern; add it",
    ),
    (
        column(
            "amount", quality=[{"id": "a", "metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": 1}}]
        ),
        "validValues: 1 is not a list; write [<value>, …]",
    ),
    (
        column("amount", quality=[{"id": "a", "metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "("}}]),
        "arguments.pattern: not a usable pattern",
    ),
    (
        table(quality=[{"id": "a", "metric": "rowCount", "mustBe": 1}, {"id": "a", "metric": "rowCount", "mustBe": 2}]),
        "quality: 2 rules are called 'a'; give each its own id",
    ),
    (
        quality(id="a", type="custom", engine="soda", implementation="x"),
        "engine: engine 'soda' is not known; use one of dataplatform, greatExpectations",
    ),
    (
        quality(id="a", type="custom", engine="greatExpectations", implementation={"type": "between"}),
        "implementation.type: 'between' is no expectation",
    ),
    (
        quality(
            id="a",
            type="custom",
            engine="greatExpectations",
            implementation={"type": "expect_column_to_exist", "kwargs": {"column": "amounts"}},
        ),
        "implementation.kwargs: there is no column 'amounts'; did you mean 'amount'?",
    ),
    (
        quality(id="a", type="custom", engine="dataplatform", implementation={"rows": "amount > 0"}),
        "implementation: unknown key 'rows'; did you mean 'row'?",
    ),
    # custom properties
    (
        custom(rowPreservin=["a"]),
        "customProperties[rowPreservin]: unknown custom property 'rowPreservin'; did you mean",
    ),
    (
        lambda document: document["customProperties"].append({"property": "partitioning", "value": "day"}),
        "custom property 'partitioning' stands twice; keep one",
    ),
    (custom(partitioning="week"), "customProperties[partitioning].value: 'week' is not known"),
    (custom(partitioning=None), "customProperties: business_date is marked partitioned without partitioning"),
    (
        column("business_date", partitioned=False),
        "partitioning is day but no column is marked partitioned: true; mark exactly one DATE column",
    ),
    (
        column("ordered_at", partitioned=True),
        "partitioning is day but 2 columns are marked partitioned: true; mark exactly one DATE column",
    ),
    (
        all_edits(column("business_date", partitioned=False), column("order_id", partitioned=True)),
        "properties[order_id].partitioned: a BIGINT cannot be the partition; partition by a DATE column",
    ),
    (column("business_date", required=False), "partitioned: the partition column may be NULL; add required: true"),
    (custom(physical="file"), "customProperties[physical].value: 'file' is not known; use one of none, partitioned"),
    (
        all_edits(unpartitioned(), custom(physical="partitioned")),
        "a table without partitioning cannot be stored in partitions",
    ),
    (custom(inputs="raw_shop_orders"), "customProperties[inputs].value: 'raw_shop_orders' is not a list"),
    (inputs({"window": "all"}), "table: the table to read is missing; write it"),
    (inputs({"table": "raw.raw_shop_orders"}), "'raw.raw_shop_orders' names a layer; write raw_shop_orders"),
    (inputs({"table": "a", "windw": "all"}), "customProperties[inputs].value[a]: unknown key 'windw'; did you mean"),
    (inputs({"table": "a"}, {"table": "a", "window": "all"}), "parameter 'a' stands twice; give this one a name"),
    (inputs({"table": "a", "parameter": "class"}), "'class' cannot be a parameter"),
    (inputs({"table": "a", "window": "yesterday"}), "window: 'yesterday' is not known"),
    (inputs({"table": "a", "window": {"back": -1}}), "window: {'back': -1} is no window; write {back: n, ahead: m}"),
    (inputs({"table": "a", "window": {"back": 0}}), "window: {'back': 0} is no window"),
    (inputs({"table": "a", "window": {"behind": 1}}), "window: unknown key 'behind'"),
    (
        inputs({"table": "a", "window": "all", "lookup": {"column": "customer", "references": "b", "uses": ["c"]}}),
        "lookup.column: the table has no column 'customer'; did you mean 'customer_id'?",
    ),
    (
        inputs({"table": "a", "window": "all", "lookup": {"column": "customer_id", "references": "b"}}),
        "lookup.uses: the columns of the dimension it uses are missing",
    ),
    (
        inputs({"table": "a", "lookup": {"column": "customer_id", "references": "b", "uses": ["c"]}}),
        "window: a lookup is read whole, not 'same'; write window: all",
    ),
    (custom(settings=[1]), "customProperties[settings].value: [1] is not a mapping; write {<setting>: <default>}"),
    (custom(settings={"first-month": 4}), "'first-month' cannot be a parameter"),
    (custom(settings={"dim_customer": 4}), "'dim_customer' is an input too; rename the setting"),
    (custom(settings={"limit": None}), "setting 'limit' has no plain default"),
    (custom(rowPreserving=["raw_orders"]), "'raw_orders' is not an input; did you mean 'raw_shop_orders'?"),
    (custom(rowPreserving="raw_shop_orders"), "'raw_shop_orders' names no input; list the inputs"),
    (
        custom(quarantineShare=2),
        "customProperties[quarantineShare].value: 2 is not a share; write a number from 0 to 1",
    ),
    (
        all_edits(at_root(id="aggregate.orders"), custom(quarantineShare=0.1)),
        "customProperties[quarantineShare].value: aggregate tables have no quarantine",
    ),
    (custom(rounding="up"), "customProperties[rounding].value: 'up' is not known; use one of exact, half_up"),
    (custom(dimension={"id": "customer_id"}), "dimension].value.key: the column is missing; write it"),
    (custom(dimension={"id": "customer", "key": "order_id"}), "id: there is no column 'customer'; did you mean"),
    (custom(dimension={"id": "customer_id", "kye": "order_id"}), "unknown key 'kye'; did you mean 'key'?"),
    (
        custom(dimension={"id": "customer_id", "key": "order_id", "validFrom": "business_date"}),
        "a version needs both ends of its interval; give validFrom and validTo, or neither",
    ),
    (custom(source={"kind": "landing"}), "customProperties[source].value: a cleaned table has no source; remove it"),
    (all_edits(raw(), custom(source=None)), "customProperties: a raw table has no source; add source"),
    (all_edits(raw(), custom(source={"folder": "x"})), "the source has no kind; write {kind: landing, folder: …}"),
    (all_edits(raw(), inputs({"table": "a"})), "a raw table reads its source, not other tables; remove the inputs"),
]


@pytest.mark.parametrize(("edit", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_a_mistake_is_refused_with_its_place_and_fix(tmp_path: Path, edit: Edit, line: str) -> None:
    found = problems(tmp_path, edit)

    assert any(line in each for each in found), found


PREDICATES = [
    ("amount >= 0 AND", "it is not one SQL expression"),
    ("amount >= 0; DROP TABLE orders", "it is not one SQL expression"),
    ("SELECT true", "it must be one expression over the row's own columns"),
    ("amount > (SELECT 1)", "it must be one expression over the row's own columns"),
    ("amounts > 0", "there is no column amounts"),
    ("amount + 1", "it is DECIMAL(18,3), not true or false"),
    ("sum(amount) > 0", "WHERE clause cannot contain aggregates"),
    ("lag(amount) OVER () > 0", "WHERE clause cannot contain window functions"),
    ("shout(customer_id) = 'A'", "Scalar Function with name shout does not exist"),
    ("is_paid > business_date", "Cannot compare values of type BOOLEAN and type DATE"),
]


@pytest.mark.parametrize(("expression", "reason"), PREDICATES, ids=[expression for expression, _ in PREDICATES])
def test_a_row_rule_must_be_a_condition_over_the_row(tmp_path: Path, expression: str, reason: str) -> None:
    rule = quality(id="a", type="custom", engine="dataplatform", implementation={"row": expression})

    (line,) = problems(tmp_path, rule)

    assert line.startswith("schema[orders].quality[a].implementation.row: ")
    assert reason in line
    assert line.endswith("write a condition such as net_amount = total_amount - discount_amount, in DuckDB's dialect")


QUERIES = [
    ("SELECT count(*) FROM orders", "it does not read ${object}"),
    ("DELETE FROM ${object}", "it is not one SELECT"),
    ("SELECT count(*) FROM ${object} UNION SELECT count(*) FROM ${object}", "it is not one SELECT"),
    ("SELECT count(*), sum(amount) FROM ${object}", "it selects more than one value"),
    ("SELECT count(*) FROM ${object} JOIN ${object} o ON true", "it must read ${object} once and nothing else"),
    ("SELECT (SELECT count(*) FROM ${object})", "it must read ${object} once and nothing else"),
    ("SELECT count(*) FROM ${object} WHERE amount > (SELECT 1)", "it must read ${object} once and nothing else"),
    ("SELECT count(*) FROM ${object} GROUP BY customer_id", "it must be one aggregate without WITH, JOIN, GROUP BY"),
    ("SELECT count(*) FROM ${object} LIMIT 1", "it must be one aggregate without WITH, JOIN, GROUP BY"),
    ("SELECT DISTINCT amount FROM ${object}", "it must be one aggregate without WITH, JOIN, GROUP BY"),
    ("WITH o AS (SELECT 1) SELECT count(*) FROM ${object}", "it must read ${object} once and nothing else"),
    ("SELECT sum(count(*)) OVER () FROM ${object}", "it must be one aggregate without window functions"),
    ("SELECT amount FROM ${object}", "it selects rows, not one value"),
    ("SELECT sum(amounts) FROM ${object}", 'Referenced column "amounts" not found'),
    ("SELECT sum(amount) + amount FROM ${object}", "must appear in the GROUP BY clause"),
]


@pytest.mark.parametrize(("query", "reason"), QUERIES, ids=[query for query, _ in QUERIES])
def test_an_sql_rule_must_be_one_aggregate_over_the_table(tmp_path: Path, query: str, reason: str) -> None:
    (line,) = problems(tmp_path, quality(id="a", type="sql", query=query, mustBe=0))

    assert line.startswith("schema[orders].quality[a].query: ")
    assert reason in line
    assert "write one aggregate such as SELECT count(*) FROM ${object} WHERE …" in line


def test_an_unreadable_file_is_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text("name: [orders\nversion: 1\n", encoding="utf-8")

    with pytest.raises(ContractError, match=r"orders\.yaml: line 2, column \d+: not readable as YAML: .*; correct"):
        read_contract(path)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_bytes("name: Käse".encode("latin-1"))

    with pytest.raises(ContractError, match=r"orders\.yaml: whole file: not readable as YAML: .*utf-8"):
        read_contract(path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text("name: orders\nversion: 1.0.0\nname: sales\n", encoding="utf-8")

    with pytest.raises(ContractError, match=r"line 3, column 1: not readable as YAML: key 'name' stands twice"):
        read_contract(path)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "orders\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ContractError, match=r"whole file: not a YAML mapping; start with `apiVersion: v3\.1\.0`"):
        read_contract(path)


def test_words_and_dates_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "cleaned" / "orders.yaml"
    path.parent.mkdir()
    text = ORDERS.replace("description: Who.,", "description: Who., enum: [{value: NO}, {value: SE}],")
    path.write_text(text + "  - {property: settings, value: {since: 2011-12-09, strict: true}}\n", encoding="utf-8")

    contract = read_contract(path)

    assert contract.rules[1].arguments == {"value": ["NO", "SE"]}
    assert contract.settings == {"since": "2011-12-09", "strict": True}


def test_severities_come_from_the_rule_and_default_to_error(tmp_path: Path) -> None:
    contract = read(
        tmp_path,
        quality(id="a", metric="rowCount", mustBe=1, severity="warning"),
        column("order_id", unique=True, customProperties=[{"property": "severity", "value": {"unique": "warning"}}]),
    )
    severities = {rule.name: rule.severity for rule in contract.rules}

    assert severities["a"] is Severity.WARNING
    assert severities["order_id:unique"] is Severity.WARNING
    assert severities["order_id:required"] is Severity.ERROR
