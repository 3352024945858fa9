"""A contract's columns as the schemas that engines and files understand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplatform.contracts.model import Contract

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa


def arrow_schema(contract: Contract) -> pa.Schema:
    """The columns in the contract's order and types.

    Every field is nullable: `required` is a rule, judged and reported like the others, not a property of the file.
    """
    import pyarrow as pa

    return pa.schema([pa.field(column.name, column.type.arrow) for column in contract.columns])


def ibis_schema(contract: Contract) -> ibis.Schema:
    """The same as an Ibis schema."""
    import ibis

    return ibis.schema({column.name: column.type.ibis for column in contract.columns})


def empty_table(contract: Contract) -> pa.Table:
    """A table of the contract without rows."""
    return arrow_schema(contract).empty_table()
