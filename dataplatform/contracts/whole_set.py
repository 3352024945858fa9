"""Checks that need more than one file: do the contracts of a platform fit together, and each its function?

One line per problem, as `<file>: <path in the file>: <problem>; <fix>`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from dataplatform.contracts.model import Column, Contract, Input, Layer
from dataplatform.contracts.nodes import suggest
from dataplatform.contracts.reconciled import reconciled_problems

_OWN_PAST = ("previous", "before")
_LAYERS = tuple(Layer)


def set_problems(contracts: Sequence[Contract], tables_dir: Path) -> list[str]:
    """Everything wrong with the set. The graph is judged only when its names are right."""
    problems = [*_file_problems(contracts, tables_dir), *_repeated_names(contracts)]
    if problems:
        return problems
    by_name = {contract.name: contract for contract in contracts}
    for contract in contracts:
        problems += [f"{contract.path}: {line}" for line in _input_problems(contract, by_name)]
        problems += [f"{contract.path}: {line}" for line in _relationship_problems(contract, by_name)]
    return problems + list(_cycle(by_name))


def _file_problems(contracts: Sequence[Contract], tables_dir: Path) -> Iterator[str]:
    """Every contract lies in its layer's folder beside one function, and every function has a contract."""
    for path in sorted([*tables_dir.glob("*/*.yml"), *tables_dir.glob("*.y*ml")]):
        yield f"{path}: whole file: not where contracts are read; name it <layer>/<table>.yaml"
    for contract in contracts:
        folder = contract.path.parent.name
        if folder != contract.layer:
            yield f"{contract.path}: id: the layer is {contract.layer}, the folder {folder}; make them the same"
        yield from _function_problems(contract)
    for layer in _LAYERS:
        for path in sorted([*(tables_dir / layer).glob("*.py"), *(tables_dir / layer).glob("*.sql")]):
            if not path.name.startswith("_") and not path.with_suffix(".yaml").exists():
                yield f"{path}: whole file: a function without contract; write {path.stem}.yaml beside it"


def _function_problems(contract: Contract) -> Iterator[str]:
    found = [path.name for path in map(contract.path.with_suffix, (".py", ".sql")) if path.exists()]
    if contract.layer is Layer.RAW and found:
        yield f"{contract.path}: whole file: a raw table is made by its source, not by {found[0]}; remove the function"
    elif contract.layer is not Layer.RAW and not found:
        stem = contract.path.stem
        yield f"{contract.path}: whole file: a contract without function; write {stem}.py or {stem}.sql beside it"
    elif len(found) > 1:
        yield f"{contract.path}: whole file: two functions, {' and '.join(found)}; keep one"


def _repeated_names(contracts: Sequence[Contract]) -> Iterator[str]:
    places: dict[str, list[Path]] = defaultdict(list)
    for contract in contracts:
        places[contract.name].append(contract.path)
    for name, paths in places.items():
        for path in paths[1:]:
            yield f"{path}: name: table {name!r} is also in {paths[0]}; rename one, names are unique across layers"


def _input_problems(contract: Contract, by_name: Mapping[str, Contract]) -> Iterator[str]:
    for each in contract.inputs:
        where = f"customProperties[inputs].value[{each.parameter}]"
        upstream = by_name.get(each.table)
        if upstream is None:
            yield f"{where}.table: there is no table {each.table!r}; {suggest(each.table, by_name)}"
            continue
        for key, problem, fix in [
            *_order_problems(contract, each, upstream),
            *_window_problems(contract, each, upstream),
            *_column_problems(each, upstream),
        ]:
            yield f"{where}.{key}: {problem}; {fix}"
        for column, problem, fix in reconciled_problems(contract, each, upstream):
            yield f"customProperties[reconciles].value[{column}]: {problem}; {fix}"


_Problems = Iterator[tuple[str, str, str]]


def _order_problems(contract: Contract, each: Input, upstream: Contract) -> _Problems:
    if each.table == contract.name and each.window.kind not in _OWN_PAST:
        yield (
            "window",
            f"the table reads itself at window {each.window}",
            "write previous or before: only its past exists",
        )
    if _LAYERS.index(upstream.layer) > _LAYERS.index(contract.layer):
        yield "table", f"{upstream.full_name} is of a later layer than {contract.full_name}", "read an earlier layer"


def _window_problems(contract: Contract, each: Input, upstream: Contract) -> _Problems:
    if each.window.kind == "all":
        return
    if not contract.is_partitioned or not upstream.is_partitioned:
        whole = contract if not contract.is_partitioned else upstream
        yield "window", f"{whole.name} has no partitions for window {each.window}", "write window: all"
    elif each.window.kind in {"previous", "range"} and contract.grain is not upstream.grain:
        grains = f"{contract.grain} and {upstream.grain}"
        yield "window", f"window {each.window} counts partitions of two grains, {grains}", "write same, before or all"


def _column_problems(each: Input, upstream: Contract) -> _Problems:
    for name in each.columns:
        if name not in upstream.column_names:
            yield "columns", f"{upstream.name} has no column {name!r}", suggest(name, upstream.column_names)
    if each.lookup is None:
        return
    if upstream.dimension is None:
        yield "lookup", f"{upstream.name} is not a dimension", "add the custom property dimension to it, or no lookup"
        return
    identity = (upstream.dimension.id, upstream.dimension.key)
    if each.lookup.references not in identity:
        found = f"{each.lookup.references!r} identifies no member of {upstream.name}"
        yield "lookup.references", found, f"write {' or '.join(identity)}"
    for name in each.lookup.uses:
        if name not in upstream.column_names:
            yield "lookup.uses", f"{upstream.name} has no column {name!r}", suggest(name, upstream.column_names)


def _relationship_problems(contract: Contract, by_name: Mapping[str, Contract]) -> Iterator[str]:
    for rule in contract.rules:
        if rule.test != "relationship":
            continue
        where = f"schema[{contract.name}].properties[{rule.columns[0]}].relationships"
        target = by_name.get(rule.arguments["table"])
        if target is None:
            yield f"{where}: there is no table {rule.arguments['table']!r}; {suggest(rule.arguments['table'], by_name)}"
        elif (name := rule.arguments["column"]) not in target.column_names:
            yield f"{where}: {target.name} has no column {name!r}; {suggest(name, target.column_names)}"
        elif not _comparable(contract.column(rule.columns[0]), target.column(name)):
            types = f"{contract.column(rule.columns[0]).type} and {target.column(name).type}"
            yield f"{where}: {types} cannot be compared; give both columns one type"


def _comparable(one: Column, other: Column) -> bool:
    return one.type.family == other.type.family


def _cycle(by_name: Mapping[str, Contract]) -> Iterator[str]:
    """The first circle of tables that wait for each other, named in the direction of the data."""
    graph: dict[str, Iterable[str]] = {
        name: {each.table for each in contract.inputs} - {name} | contract.references
        for name, contract in by_name.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = [str(name) for name in error.args[1]]
        path = by_name[circle[0]].path
        around = " → ".join(circle)
        yield f"{path}: inputs and relationships wait for each other in a circle, {around}; break it"
