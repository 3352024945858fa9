"""The naming law: what a table's and a column's name promise about it. See `docs/naming.md`.

A test applies it to every shipped table. It is not part of loading a catalog: a name that breaks the law still works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dataplatform.contracts.model import Column, Contract, Grain, Layer

_WORDS = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_TABLES = {
    Layer.RAW: (rf"raw_[a-z0-9]+_{_WORDS}", "raw_<source>_<entity>"),
    Layer.CLEANED: (rf"(?!raw_|dim_|fact_|bridge_){_WORDS}s", "<entities>, in the plural"),
    Layer.DIMENSIONAL: (
        rf"(?:dim|fact)_{_WORDS}|bridge_[a-z0-9]+_{_WORDS}",
        "dim_<entity>, fact_<process> or bridge_<a>_<b>",
    ),
    Layer.AGGREGATE: (rf"(?!raw_|dim_|fact_|bridge_)[a-z][a-z0-9]*_{_WORDS}", "<grain>_<subject>"),
}
_GRAINS = {Grain.DAY: "daily_", Grain.MONTH: "monthly_"}
_INTEGERS = frozenset({"INTEGER", "BIGINT"})
_SUFFIXES: tuple[tuple[str, frozenset[str], str], ...] = (
    ("_key", _INTEGERS, "a surrogate key is an integer"),
    ("_at", frozenset({"TIMESTAMP"}), "a moment is a TIMESTAMP"),
    ("_date", frozenset({"DATE"}), "a day is a DATE"),
    ("_on", frozenset({"DATE"}), "a day is a DATE"),
    ("_count", _INTEGERS, "a count is an integer"),
)
_DECIMALS = ("_amount", "_price")
_DATE_ENDINGS = ("_date", "_on", "_month", "_from", "_to")
_BOOLEAN_STARTS = ("is_", "has_")


def table_name_problem(layer: Layer, name: str) -> str | None:
    """What is wrong with a table's name in that layer; None when it keeps the law."""
    pattern, form = _TABLES[layer]
    return None if re.fullmatch(pattern, name) else f"{layer}.{name}: {layer} tables are called {form}"


def naming_problems(contract: Contract) -> list[str]:
    """One line per name that breaks the law, each saying what was expected."""
    return [
        *_table_problems(contract),
        *(line for each in contract.columns for line in _column_problems(contract, each)),
    ]


def _table_problems(contract: Contract) -> Iterator[str]:
    problem = table_name_problem(contract.layer, contract.name)
    if problem:
        yield problem
    start = _GRAINS.get(contract.grain)
    if contract.layer is Layer.AGGREGATE and start and not contract.name.startswith(start):
        yield f"{contract.full_name}: a table by {contract.grain} starts with {start}"


def _column_problems(contract: Contract, column: Column) -> Iterator[str]:
    where, kind = f"{contract.full_name}.{column.name}", column.type.name
    if not re.fullmatch(_WORDS, column.name):
        yield f"{where}: columns are snake_case"
    if contract.layer is Layer.RAW and kind == "VARCHAR":
        return  # as delivered: a text may be called anything
    for suffix, types, law in _SUFFIXES:
        if column.name.endswith(suffix) and kind not in types:
            yield f"{where}: {law}, not {kind}"
    if column.name.endswith(_DECIMALS) and not column.type.is_decimal:
        yield f"{where}: money is a DECIMAL, not {kind}"
    yield from _type_problems(where, column)


def _type_problems(where: str, column: Column) -> Iterator[str]:
    """The other way round: what a type demands of the name."""
    kind = column.type.name
    if kind == "TIMESTAMP" and not column.name.endswith("_at"):
        yield f"{where}: a TIMESTAMP is called …_at"
    if kind == "DATE" and not column.name.endswith(_DATE_ENDINGS):
        yield f"{where}: a DATE is called …_date or …_on (…_month for its first day, …_from and …_to for intervals)"
    is_named_so = column.name.startswith(_BOOLEAN_STARTS)
    if kind == "BOOLEAN" and not is_named_so:
        yield f"{where}: a BOOLEAN is called is_… or has_…"
    if is_named_so and kind != "BOOLEAN":
        yield f"{where}: is_ and has_ are for BOOLEAN, not {kind}"
