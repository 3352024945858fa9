"""What changes of a contract ask for: nothing, a rerun, or a rebuild."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataplatform.contracts.changes import Change, classify, fingerprint, shape
from dataplatform.contracts.model import (
    Column,
    Contract,
    Dimension,
    Grain,
    Input,
    Lookup,
    Reconciled,
    Rule,
    RuleKind,
    Severity,
    Window,
)
from dataplatform.contracts.types import ColumnType
from dataplatform_tests.by_hand import contract

RULE = Rule("amount:minimum", RuleKind.ROWS, "minimum", ("amount",), {"value": 0})
LOOKUP = Lookup("label", "customer_id", ("customer_key",))


def with_column(given: Contract, name: str, **changes: Any) -> Contract:
    """The contract with one column changed, or added when it has none of that name."""
    columns = {column.name: column for column in given.columns}
    columns[name] = replace(columns.get(name, Column(name, ColumnType.parse("BIGINT"))), **changes)
    return replace(given, columns=tuple(columns.values()))


def test_an_unchanged_contract_asks_for_nothing() -> None:
    assert classify(shape(contract()), contract()) == []


def test_a_shape_survives_json() -> None:
    assert classify(json.loads(json.dumps(shape(contract()))), contract()) == []


def test_a_new_nullable_column_is_additive() -> None:
    changed = with_column(contract(), "extra")

    assert classify(shape(contract()), changed) == [Change("additive", "column extra is new")]


REBUILDS = [
    (with_column(contract(), "extra", required=True), "column extra is new and required"),
    (replace(contract(), columns=contract().columns[:2]), "column label is gone"),
    (with_column(contract(), "label", type=ColumnType.parse("INTEGER")), "column label was VARCHAR and is INTEGER"),
    (
        with_column(contract(), "amount", type=ColumnType.parse("DECIMAL(18,2)")),
        "column amount was DECIMAL(18,3) and is DECIMAL(18,2)",
    ),
    (with_column(contract(), "amount", required=True), "column amount became required"),
    (contract(primary_key=("label", "amount")), "the primary key was none and is label, amount"),
    (contract(partition_column="label"), "the partition column was business_date and is label"),
    (contract(grain=Grain.MONTH), "the partitioning was day and is month"),
    (contract(physical="none"), "the physical partitioning was partitioned and is none"),
]


@pytest.mark.parametrize(("changed", "text"), REBUILDS, ids=[text for _, text in REBUILDS])
def test_any_other_change_of_shape_is_a_rebuild_in_words(changed: Contract, text: str) -> None:
    assert classify(shape(contract()), changed) == [Change("rebuild", text)]


def test_a_column_that_need_not_be_there_any_more_is_a_rebuild() -> None:
    required = with_column(contract(), "amount", required=True)

    assert classify(shape(required), contract()) == [Change("rebuild", "column amount is no longer required")]


def test_rebuilds_are_named_before_additions() -> None:
    changed = replace(with_column(contract(), "extra"), physical="none")

    assert [change.kind for change in classify(shape(contract()), changed)] == ["rebuild", "additive"]


def test_rules_and_the_order_of_columns_are_no_part_of_the_shape() -> None:
    changed = replace(contract(rules=(RULE,)), columns=contract().columns[::-1])

    assert classify(shape(contract()), changed) == []


DECISIVE = {
    "a column": with_column(contract(), "extra"),
    "a type": with_column(contract(), "label", type=ColumnType.parse("INTEGER")),
    "required": with_column(contract(), "label", required=True),
    "the key": contract(primary_key=("label",)),
    "a rule": contract(rules=(RULE,)),
    "a rule's value": contract(rules=(replace(RULE, arguments={"value": 1}),)),
    "a rule's severity": contract(rules=(replace(RULE, severity=Severity.WARNING),)),
    "an input": contract(inputs=(Input("orders", "orders"),)),
    "an input's parameter": contract(inputs=(Input("sales", "orders"),)),
    "an input's window": contract(inputs=(Input("orders", "orders", Window("all")),)),
    "an input's columns": contract(inputs=(Input("orders", "orders", columns=("label",)),)),
    "an input's lookup": contract(inputs=(Input("orders", "orders", lookup=LOOKUP),)),
    "rounding": contract(rounding="half_up"),
    "rows kept": contract(row_preserving=("orders",)),
    "the quarantine's share": contract(quarantine_share=0.2),
    "partitioning": contract(grain=Grain.MONTH),
    "physical partitioning": contract(physical="none"),
    "the dimension": contract(dimension=Dimension("label", "amount")),
    "the source": contract(source={"kind": "landing"}),
}


def test_everything_that_decides_the_rows_has_a_fingerprint_of_its_own() -> None:
    prints = {name: fingerprint(changed) for name, changed in DECISIVE.items()}

    assert fingerprint(contract()) not in prints.values()
    assert len(set(prints.values())) == len(prints)


@pytest.mark.parametrize(
    "changed",
    [
        contract(version="2.0.0", description="Other words.", grain_text="one row"),
        contract(owner="team:others", tags=("shop",), sla={"latency": {"value": 1}}),
        contract(settings={"limit": 5}),
        contract(reconciles=(Reconciled("amount", "orders", "price"),)),
        contract(path=Path("elsewhere.yaml")),
        with_column(contract(), "label", description="A label.", classification="confidential", unit="GBP"),
        replace(contract(), columns=contract().columns[::-1]),
    ],
    ids=["words", "promises", "settings", "reconciled amounts", "place", "a column's words", "order"],
)
def test_what_only_tells_people_something_leaves_the_fingerprint(changed: Contract) -> None:
    assert fingerprint(changed) == fingerprint(contract())


def test_a_rule_may_be_described_anew_and_moved() -> None:
    other = Rule("label:required", RuleKind.ROWS, "required", ("label",))
    described = replace(RULE, description="Never below nothing.")

    assert fingerprint(contract(rules=(RULE, other))) == fingerprint(contract(rules=(other, described)))


def test_a_fingerprint_is_short_and_the_same_on_every_machine() -> None:
    assert fingerprint(contract()) == "a2736f0c4d38348e"
