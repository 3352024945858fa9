"""All contracts of a platform together: `load_catalog` reads them, `Catalog` answers questions about the graph.

Whether the set makes sense is checked in `whole_set.py`; one file by itself in `reader.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from dataplatform.contracts.model import Contract, Layer
from dataplatform.contracts.reader import read_contract
from dataplatform.contracts.whole_set import set_problems
from dataplatform.errors import ContractError, UnknownNameError


@dataclass(frozen=True)
class Catalog:
    """Every contract, in an order in which each table stands after the tables it reads. Made by `load_catalog`."""

    contracts: tuple[Contract, ...]

    @cached_property
    def _by_name(self) -> Mapping[str, Contract]:
        return {contract.name: contract for contract in self.contracts}

    def __iter__(self) -> Iterator[Contract]:
        return iter(self.contracts)

    def __len__(self) -> int:
        return len(self.contracts)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """Table names in the same order."""
        return tuple(contract.name for contract in self.contracts)

    def get(self, name: str) -> Contract:
        """The contract of `table` or `layer.table`. Raises UnknownNameError with the nearest names."""
        contract = self._by_name.get(name.rpartition(".")[2])
        if contract is None or name not in {contract.name, contract.full_name}:
            known = [each.full_name if "." in name else each.name for each in self.contracts]
            raise UnknownNameError("table", name, known)
        return contract

    def upstream(self, name: str) -> tuple[str, ...]:
        """The tables that `name` reads, itself left out."""
        contract = self.get(name)
        read = {each.table for each in contract.inputs} - {contract.name}
        return self._ordered(read)

    def downstream(self, name: str) -> tuple[str, ...]:
        """The tables that read `name`, itself left out."""
        table = self.get(name).name
        return self._ordered(other for other in self.names if table in self.upstream(other))

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Every table that `name` needs, directly or not: those it reads, and those its rows are compared with."""
        found: set[str] = set()
        for table in (*self.upstream(name), *self.get(name).references):
            found |= {table, *self.ancestors(table)}
        return self._ordered(found)

    def descendants(self, name: str) -> tuple[str, ...]:
        """Every table that depends on `name`, directly or not."""
        found = {self.get(name).name}
        for contract in self.contracts:
            if not found.isdisjoint(self.upstream(contract.name)):
                found.add(contract.name)
        return self._ordered(found - {self.get(name).name})

    def select(self, expressions: Iterable[str]) -> tuple[str, ...]:
        """The tables that any of the expressions names; all of them when there is no expression.

        An expression is `table`, `layer.table`, `layer.*` or `*`; a leading `+` adds everything it needs, a
        trailing `+` everything that depends on it. Raises UnknownNameError.
        """
        wanted = list(expressions)
        if not wanted:
            return self.names
        found: set[str] = set()
        for expression in wanted:
            for name in self._named(expression.strip("+")):
                found.add(name)
                found.update(self.ancestors(name) if expression.startswith("+") else ())
                found.update(self.descendants(name) if expression.endswith("+") else ())
        return self._ordered(found)

    def _named(self, expression: str) -> tuple[str, ...]:
        if expression == "*":
            return self.names
        layer, _, table = expression.rpartition(".")
        if table != "*":
            return (self.get(expression).name,)
        if layer not in tuple(Layer):
            raise UnknownNameError("layer", layer, Layer)
        return tuple(contract.name for contract in self.contracts if contract.layer == layer)

    def _ordered(self, names: Iterable[str]) -> tuple[str, ...]:
        wanted = set(names)
        return tuple(name for name in self.names if name in wanted)


def load_catalog(tables_dir: Path) -> Catalog:
    """Reads every `<layer>/<table>.yaml` below `tables_dir`.

    Raises ContractError with the problems of all files; those of the whole set are looked for once every file
    reads by itself; also when there is no such folder.
    """
    if not tables_dir.is_dir():
        raise ContractError([f"{tables_dir}: there is no such folder of tables; put DATAPLATFORM_TABLES right"])
    contracts: list[Contract] = []
    problems: list[str] = []
    for path in sorted(tables_dir.glob("*/*.yaml")):
        try:
            contracts.append(read_contract(path))
        except ContractError as error:
            problems += error.problems
    problems = problems or set_problems(contracts, tables_dir)
    if problems:
        raise ContractError(problems)
    return Catalog(_topological(contracts))


def _topological(contracts: list[Contract]) -> tuple[Contract, ...]:
    by_name = {contract.name: contract for contract in sorted(contracts, key=_rank)}
    sorter = TopologicalSorter[str]()
    for contract in by_name.values():
        # what a relationship points at comes first as well: it must be there to be compared with
        sorter.add(contract.name, *({each.table for each in contract.inputs} - {contract.name} | contract.references))
    order: list[str] = []
    sorter.prepare()
    while sorter.is_active():  # ready tables by layer and name: the order is the same on every machine
        ready = sorted(sorter.get_ready(), key=lambda name: _rank(by_name[name]))
        order += ready
        sorter.done(*ready)
    return tuple(by_name[name] for name in order)


def _rank(contract: Contract) -> tuple[int, str]:
    return list(Layer).index(contract.layer), contract.name
