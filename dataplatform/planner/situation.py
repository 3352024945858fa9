"""All that decides what a slice comes to, in one short text: equal situations, equal results.

Code, contract and settings, the delivered file, the revisions it reads, and what its rules compare it with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dataplatform.contracts.model import RuleKind
from dataplatform.planner.windows import partitions_read, revisions_read

if TYPE_CHECKING:
    from dataplatform.contracts.model import Contract
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project


class Situations:
    """The situations of slices at one moment; `opened` gives each table as it is then."""

    def __init__(self, project: Project, opened: Callable[[str], Opened]) -> None:
        self._project, self._opened = project, opened
        self._versions: dict[str, str] = {}
        self._compared: dict[str, str] = {}

    def of(self, contract: Contract, partition: str, signature: str = "", *, compared: bool = True) -> str:
        """`signature` is that of what is delivered for the partition of a raw table.

        With `compared`, what relationships and keys are compared with counts too: other tables, and the table's own
        other partitions.
        """
        name = contract.name
        if name not in self._versions:
            self._versions[name] = self._project.version_of(contract)
        if compared and name not in self._compared:
            self._compared[name] = "".join(self._revisions(table) for table in sorted(_compared_tables(contract)))
        parts = [self._versions[name], signature, *self._read(contract, partition)]
        parts += [self._compared[name]] if compared else []
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def moved_since(self, contract: Contract, moment: int) -> bool:
        """Whether anything that its slices read or are compared with was published since (nanoseconds since 1970)."""
        tables = {wanted.table for wanted in contract.inputs} | contract.references
        states = (self._opened(table).state for table in tables - {contract.name})
        return any(entry.sequence >= moment for state in states for entry in state.slices.values())

    def _read(self, contract: Contract, partition: str) -> Iterable[str]:
        for wanted in contract.inputs:
            upstream = self._project.catalog.get(wanted.table)
            read = partitions_read(contract, wanted, upstream, partition, self._project.keys(upstream))
            found = revisions_read(wanted, read, self._opened(wanted.table).state.revisions)
            yield f"{wanted.parameter}={json.dumps(found, sort_keys=True)}"

    def _revisions(self, table: str) -> str:
        return f"{table}={json.dumps(self._opened(table).state.revisions, sort_keys=True)}\n"


def _compared_tables(contract: Contract) -> set[str]:
    """What relationships point at, and the table itself where a key is compared with its other partitions."""
    keys = (rule for rule in contract.rules if rule.kind is RuleKind.KEYS)
    elsewhere = any(contract.partition_column not in rule.columns for rule in keys)
    return set(contract.references) | ({contract.name} if elsewhere and contract.is_partitioned else set())
