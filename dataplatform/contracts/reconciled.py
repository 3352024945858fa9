"""The custom property `reconciles`: which sums of a table are those of what it was made from.

One file says which column goes with which input; whether the input has what is summed is asked of both contracts.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataplatform.contracts.columns import Properties
from dataplatform.contracts.model import Contract, Grain, Input, Layer, Reconciled
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.sql_check import amount_columns

_KEYS = ("column", "with", "sum")
_EXACT = ("INTEGER", "BIGINT")


def reconciled_columns(
    node: Node, layer: Layer, grain: Grain, inputs: tuple[Input, ...], properties: Properties
) -> tuple[Reconciled, ...]:
    """The columns; none when the contract does not name any."""
    if not node.is_set:
        return ()
    if not node.items():
        node.refuse(f"{node.value!r} names no column", "write [{column: …, with: <input>, sum: <expression>}, …]")
    if layer in (Layer.RAW, Layer.CLEANED):
        node.refuse(f"{layer} tables quarantine rows, whose amounts are in no sum", "write rowPreserving: [<input>]")
    if grain is Grain.NONE:
        node.refuse("amounts are compared by partition", "add partitioning, or remove it")
    return tuple(_one(item, inputs, properties) for item in node.items())


def _one(item: Node, inputs: tuple[Input, ...], properties: Properties) -> Reconciled:
    item.allow_keys(_KEYS)
    name = item["column"].demand("the column that is summed")
    column = next((each.column for each in properties.nodes if each.column.name == name), None)
    if name and column is None:
        item["column"].refuse(f"there is no column {name!r}", suggest(name, properties.names))
    elif column is not None and not (column.type.name in _EXACT or column.type.is_decimal):
        item["column"].refuse(f"sums of {column.type} are not exact", "name a column of INTEGER, BIGINT or DECIMAL")
    elif column is not None and column.is_private:
        item["column"].refuse(f"{name} is private: its sums are not shown", "remove it")
    parameter = item["with"].demand("the input it is compared with")
    wanted = next((each for each in inputs if each.parameter == parameter), None)
    if parameter and wanted is None:
        item["with"].refuse(f"{parameter!r} is not an input", suggest(parameter, [each.parameter for each in inputs]))
    elif wanted is not None and wanted.window.kind != "same":
        item["with"].refuse(f"{parameter} is read at window {wanted.window}", "name an input of the same period")
    if item["sum"].is_set:
        item["sum"].demand("the expression that is summed")
    return Reconciled(name, parameter, item["sum"].text or None)


def reconciled_problems(contract: Contract, wanted: Input, upstream: Contract) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the columns that are reconciled with one input: the column, the problem and the fix."""
    for each in contract.reconciles:
        if each.parameter != wanted.parameter:
            continue
        if upstream.grain is not contract.grain and contract.grain is not Grain.MONTH:
            yield each.column, f"a {contract.grain} holds a part of a {upstream.grain}", "reconcile a whole period"
        if each.sum is None:
            continue
        read, problem = amount_columns(each.sum, upstream.columns)
        if problem:
            fix = f"write a sum over columns of {upstream.name}, such as quantity * unit_price"
            yield each.column, f"{each.sum!r}: {problem}", fix
        elif private := sorted(upstream.private_columns.intersection(read)):
            yield each.column, f"{each.sum!r}: {private[0]} is private: its sums are not shown", "remove it"
