"""What a contract decides about stored data, and what its changes ask for on a table that already has rows.

`shape` is what a publication records of the contract it was made under; `classify` compares it with the contract
of now. `fingerprint` covers everything that decides which rows come out: when it differs, slices are stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dataplatform.contracts.model import Contract, Rule


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the published shape and the contract.

    `additive` applies with the next publication; `rebuild` needs the whole table rewritten.
    """

    kind: Literal["additive", "rebuild"]
    text: str


def shape(contract: Contract) -> dict[str, Any]:
    """What the stored table looks like under this contract; survives JSON unchanged.

    Rules are no part of it, and neither is the order of the columns: everything reads them by name.
    """
    return {
        "columns": {
            column.name: {"type": column.type.name, "required": column.required} for column in contract.columns
        },
        "primary_key": list(contract.primary_key),
        "partition_column": contract.partition_column,
        "grain": contract.grain.value,
        "physical": contract.physical,
    }


def fingerprint(contract: Contract) -> str:
    """16 hexadecimal digits over everything in the contract that decides the data.

    Not over what only tells people something (descriptions, owner, classification, SLA, tags), and not over the
    values of settings, which are part of what made a slice by themselves.
    """
    decisive = {
        "shape": shape(contract),
        "rules": sorted(_rule(rule) for rule in contract.rules),
        "inputs": [asdict(each) for each in contract.inputs],
        "rounding": contract.rounding,
        "row_preserving": sorted(contract.row_preserving),
        "quarantine_share": contract.quarantine_share,
        "dimension": asdict(contract.dimension) if contract.dimension else None,
        "source": _what_is_read(contract),
    }
    text = json.dumps(decisive, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _what_is_read(contract: Contract) -> dict[str, Any] | None:
    """The source without its marker, which decides when files are read and not what is in them."""
    return None if contract.source is None else {k: v for k, v in contract.source.items() if k != "success"}


def classify(published: Mapping[str, Any], contract: Contract) -> list[Change]:
    """The differences between a published `shape` and the contract, those that need a rebuild first."""
    current = shape(contract)
    changes = [*_column_changes(published["columns"], current["columns"]), *_table_changes(published, current)]
    return sorted(changes, key=lambda change: change.kind != "rebuild")


def _rule(rule: Rule) -> str:
    return json.dumps(
        [rule.name, rule.kind, rule.test, rule.columns, rule.arguments, rule.severity], sort_keys=True, default=str
    )


def _column_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in [name for name in old if name not in new]:
        yield Change("rebuild", f"column {name} is gone")
    for name, column in new.items():
        if name not in old:
            kind: Literal["additive", "rebuild"] = "rebuild" if column["required"] else "additive"
            yield Change(kind, f"column {name} is new{' and required' if column['required'] else ''}")
            continue
        before = old[name]
        if before["type"] != column["type"]:
            yield Change("rebuild", f"column {name} was {before['type']} and is {column['type']}")
        if before["required"] != column["required"]:
            yield Change("rebuild", f"column {name} {'became' if column['required'] else 'is no longer'} required")


def _table_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    words = {
        "primary_key": "the primary key",
        "partition_column": "the partition column",
        "grain": "the partitioning",
        "physical": "the physical partitioning",
    }
    for key, what in words.items():
        if old[key] != new[key]:
            yield Change("rebuild", f"{what} was {_say(old[key])} and is {_say(new[key])}")


def _say(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else str(value or "none").lower()
