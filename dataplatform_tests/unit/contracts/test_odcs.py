"""A document is held against the standard's JSON Schema and against the package's model."""

from __future__ import annotations

from dataplatform.contracts.odcs import model_problems, structure_problems

SMALLEST = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": "cleaned.orders", "version": "1.0.0"}


def test_the_smallest_document_is_well_formed() -> None:
    assert structure_problems(SMALLEST) == []


def test_the_schema_speaks_first() -> None:
    assert structure_problems({**SMALLEST, "version": 1}) == ["version: 1 is not of type string; write it as one"]


def test_the_model_is_asked_too() -> None:
    assert model_problems({**SMALLEST, "version": 1, "description": {"usage": []}}) == [
        "version: Input should be a valid string; correct the value",
        "description.usage: Input should be a valid string; correct the value",
    ]


def test_a_mistake_in_an_alternative_is_told_where_it_is() -> None:
    team = {"name": "sales", "members": [{"username": "sales@example.com", "rle": "owner"}]}

    assert structure_problems({**SMALLEST, "team": team}) == [
        "team.members[sales@example.com]: unknown key 'rle'; did you mean 'role'?"
    ]


def test_a_key_that_is_known_elsewhere_is_misplaced() -> None:
    item = {"id": "a", "type": "text", "query": "SELECT 1"}

    assert structure_problems({**SMALLEST, "schema": [{"name": "orders", "quality": [item]}]}) == [
        "schema[orders].quality[a]: key 'query' does not belong here; remove it"
    ]
