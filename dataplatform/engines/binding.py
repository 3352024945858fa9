"""Binding: what a table's function would deliver, asked before any data exists.

A function is called on empty tables made from its inputs' contracts, and DuckDB says which columns and types come
out: Ibis's own inference is wrong for decimals and drops casts it believes idle. The same pass runs the lint of
idioms and traces the columns. Functions on pandas frames are called on a few made-up rows instead.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import ibis
import ibis.expr.operations as ops

from dataplatform.contracts.functions import SLICE_DAY, SLICE_DAY_EXAMPLE, TableFunction
from dataplatform.contracts.nodes import suggest
from dataplatform.engines import families
from dataplatform.engines.idioms import lint
from dataplatform.engines.lineage import Origin, named, of_expression, of_sql
from dataplatform.engines.macros import MACROS
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.errors import ContractError, ShapeError

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from dataplatform.contracts.model import Column, Contract

_ONE_AT_A_TIME = threading.RLock()
_T = TypeVar("_T")


@dataclass(frozen=True)
class Binding:
    """What a function delivers: columns with the engine's types, and what the casts to the contract's will do.

    `notes`: one line per column whose delivered type is not the contract's.
    """

    table: str
    delivered: Mapping[str, str]
    notes: tuple[str, ...]
    trace: Callable[[], Mapping[str, frozenset[Origin]]] = field(repr=False, compare=False)

    @cached_property
    def lineage(self) -> Mapping[str, frozenset[Origin]]:
        """Column -> {(input table, its column)}; empty sets for a function on pandas frames.

        Traced when first asked for: loading the definitions needs none.
        """
        return self.trace()


def bind(contract: Contract, function: TableFunction, upstream: Mapping[str, Contract]) -> Binding:
    """Binds `function` to its inputs' contracts, given by parameter.

    Raises ContractError with every problem: file, problem, fix.
    """
    try:
        return _BINDERS[function.kind](contract, function, upstream)
    except ContractError as error:
        where = f"{function.source_path}: {contract.full_name}"
        raise ContractError([f"{where}: {problem}" for problem in error.problems]) from error


def _bind_ibis(contract: Contract, function: TableFunction, upstream: Mapping[str, Contract]) -> Binding:
    with _empty_tables(_columns(contract, upstream)) as tables:
        arguments = [tables[name] for name in function.parameters]
        made = _call(function, arguments, _settings(contract, function))
        if not isinstance(made, ibis.Table):
            raise ContractError([f"returns {type(made).__name__}; return an ibis.Table"])
        problems = lint(made, contract.layer) + _foreign(made, tables)
        try:
            delivered = _describe(made)
        except ContractError as error:
            raise ContractError(problems or error.problems) from error
        problems += _differences(contract, delivered)
        if problems:
            raise ContractError(problems)
        return _binding(contract, delivered, lambda: of_expression(made))


def _bind_sql(contract: Contract, function: TableFunction, upstream: Mapping[str, Contract]) -> Binding:
    from dataplatform.engines import sql_tables

    columns = _columns(contract, upstream)
    schemas = {name: {each.name: each.type.duckdb for each in found} for name, found in columns.items()}
    settings = _settings(contract, function)
    with _empty_tables(columns) as tables:
        made = _guarded(function, lambda: sql_tables.to_ibis(_bench(), function, tables, settings))
        delivered = _describe(made)
    query = sql_tables.bound(function, settings)
    if problems := sql_tables.form_problems(query):
        raise ContractError(problems + _differences(contract, delivered))
    typed = _guarded(function, lambda: sql_tables.qualified(query, schemas))
    if problems := sql_tables.type_problems(typed) + _differences(contract, delivered):
        raise ContractError(problems)
    return _binding(contract, delivered, lambda: of_sql(typed))


def _bind_pandas(contract: Contract, function: TableFunction, upstream: Mapping[str, Contract]) -> Binding:
    from dataplatform.engines.frames import from_frame, to_frame
    from dataplatform.engines.samples import sample

    chosen = {wanted.parameter: wanted.columns for wanted in contract.inputs}
    frames = [to_frame(sample(upstream[name], chosen[name])) for name in function.parameters]
    made = _call(function, frames, _settings(contract, function))
    if type(made).__name__ != "DataFrame":
        raise ContractError([f"returns {type(made).__name__}; return a pandas.DataFrame"])
    if problems := _misnamed([str(name) for name in made.columns], contract):
        raise ContractError(problems)
    try:
        delivered = {field.name: str(field.type) for field in from_frame(made, contract).schema}
    except ShapeError as error:
        raise ContractError([str(error)]) from error
    return Binding(contract.name, delivered, (), lambda: dict.fromkeys(contract.column_names, frozenset()))


_BINDERS: Mapping[str, Callable[[Contract, TableFunction, Mapping[str, Contract]], Binding]] = {
    "ibis": _bind_ibis,
    "sql": _bind_sql,
    "pandas": _bind_pandas,
}


def _binding(
    contract: Contract, delivered: Mapping[str, str], origins: Callable[[], Mapping[str, frozenset[Origin]]]
) -> Binding:
    tables = {wanted.parameter: wanted.table for wanted in contract.inputs}

    def trace() -> Mapping[str, frozenset[Origin]]:
        found = named(origins(), tables)
        return {name: found[name] for name in contract.column_names}

    return Binding(contract.name, delivered, tuple(_notes(contract, delivered)), trace)


def _settings(contract: Contract, function: TableFunction) -> dict[str, Any]:
    """The contract's defaults; the platform binds the day of the slice, when a function asks for it."""
    settings = dict(contract.settings)
    if SLICE_DAY in function.settings:
        settings[SLICE_DAY] = SLICE_DAY_EXAMPLE
    return settings


def _columns(contract: Contract, upstream: Mapping[str, Contract]) -> dict[str, Sequence[Column]]:
    return {
        wanted.parameter: [upstream[wanted.parameter].column(name) for name in wanted.columns]
        or upstream[wanted.parameter].columns
        for wanted in contract.inputs
    }


@cache
def _bench() -> Backend:
    """The one connection of the process on which functions are bound. It never holds a row."""
    backend = ibis.duckdb.connect()
    for statement in ("SET TimeZone = 'UTC'", "SET threads = 1", *MACROS):
        backend.con.execute(statement)
    return backend


@contextmanager
def _empty_tables(inputs: Mapping[str, Sequence[Column]]) -> Iterator[dict[str, ibis.Table]]:
    """Empty tables named after the parameters, in a transaction that is rolled back: nothing stays behind."""
    with _ONE_AT_A_TIME:
        backend = _bench()
        backend.con.execute("BEGIN")
        try:
            for name, columns in inputs.items():
                listed = ", ".join(f'"{column.name}" {column.type.duckdb}' for column in columns)
                backend.con.execute(f'CREATE TEMP TABLE "{name}" ({listed})')
            yield {
                name: ops.DatabaseTable(
                    name=name, schema={column.name: column.type.ibis for column in columns}, source=backend
                ).to_expr()
                for name, columns in inputs.items()
            }
        finally:
            backend.con.execute("ROLLBACK")


def _call(function: TableFunction, tables: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    call = function.call
    if call is None:
        raise ContractError(["is SQL and cannot be called; run it by engines.sql_tables.to_ibis"])
    return _guarded(function, lambda: call(*tables, **settings))


def _guarded(function: TableFunction, action: Callable[[], _T]) -> _T:
    """Runs what a table's author wrote. Whatever it raises is a problem of that table, with its line."""
    try:
        return action()
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(function.source_path)]
        place = f"line {lines[-1]}: " if lines else ""
        raise ContractError(
            [f"{place}fails on empty inputs: {type(error).__name__}: {_first_line(error)}; correct the function"]
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _describe(made: ibis.Table) -> dict[str, str]:
    """Names and types as DuckDB would deliver them."""
    import duckdb
    from ibis.common.exceptions import IbisError

    backend = _bench()
    try:
        backend._register_udfs(made)  # noqa: SLF001  ibis registers Python functions when it executes, not when it compiles
        rows = backend.con.execute(f"DESCRIBE {backend.compile(made)}").fetchall()
    except (duckdb.Error, IbisError) as error:
        raise ContractError([f"DuckDB cannot run it: {_first_line(error)}; correct the expression"]) from error
    return {str(name): str(type_name) for name, type_name, *_ in rows}


def _foreign(made: ibis.Table, tables: Collection[str]) -> list[str]:
    found = {node.name for node in made.op().find((ops.DatabaseTable, ops.UnboundTable))}
    return [f"reads {name!r}, which is no parameter; take it as an input" for name in sorted(found - set(tables))]


def _differences(contract: Contract, delivered: Mapping[str, str]) -> list[str]:
    problems = _misnamed(delivered, contract)
    for column in contract.columns:
        if column.name not in delivered:
            continue
        found, promised = families.of_duckdb(delivered[column.name]), column.type.family
        if not families.accepts(promised, found):
            problems.append(
                f"column {column.name}: delivers {delivered[column.name]} where the contract promises {column.type}; "
                f"{families.fix(found, promised)}"
            )
    if delivered.get(ROW_ERRORS, "VARCHAR[]") != "VARCHAR[]":
        problems.append(f"{ROW_ERRORS} is {delivered[ROW_ERRORS]}; make it an array of strings, one per reason")
    return problems


def _misnamed(delivered: Iterable[str], contract: Contract) -> list[str]:
    found = set(delivered) - {ROW_ERRORS}
    missing = [name for name in contract.column_names if name not in found]
    unexpected = sorted(found - set(contract.column_names))
    return [
        *(f"column {name} is delivered and not in the contract; {suggest(name, missing)}" for name in unexpected),
        *(f"column {name} of the contract is not delivered; {suggest(name, unexpected)}" for name in missing),
    ]


def _notes(contract: Contract, delivered: Mapping[str, str]) -> Iterator[str]:
    for column in contract.columns:
        found = delivered[column.name].replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
        if found != column.type.duckdb:
            yield f"{column.name}: {found} is cast to {column.type}, and rows are counted whose value changes"
