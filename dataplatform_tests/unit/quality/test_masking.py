"""Private values never stand in a text that is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataplatform.contracts.model import Column, Contract, Rule, RuleKind
from dataplatform.contracts.types import ColumnType
from dataplatform.quality.masking import is_private, mask_reasons
from dataplatform_tests.by_hand import contract

TEXT = ColumnType.parse("VARCHAR")


def _people() -> Contract:
    columns = (
        Column("city", TEXT, classification="public"),
        Column("email", TEXT, classification="confidential"),
        Column("note", TEXT, classification="Restricted"),
    )
    rules = (
        Rule("email:pattern", RuleKind.ROWS, "pattern", ("email",)),
        Rule("city:required", RuleKind.ROWS, "required", ("city",)),
        Rule("distinct", RuleKind.ROWS, "predicate", ("city", "email"), {"expression": "city <> email"}),
        Rule("primary_key", RuleKind.KEYS, "unique", ("email",)),
    )
    return replace(contract(), columns=columns, rules=rules)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("email:pattern: a@b", "email:pattern: ***"),
        ("primary_key: a@b", "primary_key: ***"),
        ("distinct: city=Rome, email=a@b", "distinct: ***"),
        ("city:required: NULL", "city:required: NULL"),
        ("unparseable:city='x:y'", "unparseable:city='x:y'"),
        ("unparseable:email='a@b'", "unparseable:email=***"),
        ("unparseable:email", "unparseable:email"),
        ("unparseable:email a@b", "unparseable:***"),
        ("unparseable:e-mail='a@b'", "unparseable:***"),
        ("odd:city='Rome' beside email='a@b'", "odd:***"),
        ("odd: 'a@b' is no address", "odd:***"),
        ("no_address", "no_address"),
    ],
)
def test_a_reason_shows_only_what_is_surely_public(reason: str, shown: str) -> None:
    assert mask_reasons(_people(), [reason]) == [shown]


def test_a_table_without_private_columns_shows_its_reasons_as_they_are() -> None:
    assert mask_reasons(contract(), ["odd: 'a@b' is no address"]) == ["odd: 'a@b' is no address"]


def test_a_rule_is_private_when_it_looks_at_a_private_column() -> None:
    assert [is_private(_people(), rule) for rule in _people().rules] == [True, False, True, True]
