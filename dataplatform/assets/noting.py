"""Notes beside a table what was tried and not published, so that nobody unattended tries the same again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dataplatform.contracts.model import RuleKind, Severity
from dataplatform.errors import PermanentError, PlatformError, may_pass
from dataplatform.lake.attempts import Attempt, read_attempts, write_attempts
from dataplatform.lake.holds import HeldError
from dataplatform.planner.situation import Situations

if TYPE_CHECKING:
    from dataplatform.assets.slices import Outcome
    from dataplatform.contracts.model import Contract
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

_LONGEST_REASON = 300
_COMPARING = frozenset({RuleKind.KEYS, RuleKind.RELATIONSHIPS})


class RebuildNeededError(PermanentError):
    """The contract changed on a populated table; the planner leaves it alone until `dataplatform rebuild`."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why one partition was not published."""

    reason: str
    is_compared: bool = False
    is_transient: bool = False


@contextmanager
def noting(
    project: Project, contract: Contract, partitions: Sequence[str], run_id: str, outcome: Outcome
) -> Iterator[None]:
    """Notes each of `partitions` that is not published when the block ends, with what it was tried in.

    A hold and a rebuild that is asked for are no failures of a slice. A note that cannot be written is done without:
    the slice is then tried once more than it need be.
    """
    note = _Note(project, contract, run_id, time.time_ns())
    try:
        signatures = _signatures(project, contract, partitions)
        yield
    except (HeldError, RebuildNeededError):
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, PlatformError) else type(error).__name__
        failed = _Failed(reason, is_transient=may_pass(error))
        left = [partition for partition in partitions if partition not in outcome.slices]
        note.write({**_unpublished(outcome), **dict.fromkeys(left, failed)}, None)
        raise
    note.write(_unpublished(outcome), signatures)


def _signatures(project: Project, contract: Contract, partitions: Sequence[str]) -> Mapping[str, str]:
    """What lies there before it is read: a file that changes meanwhile must count as another."""
    if contract.source is None:
        return {}
    offers = project.source(contract).offers(min(partitions), max(partitions))
    return {partition: offer.signature for partition, offer in offers.items()}


def _unpublished(outcome: Outcome) -> dict[str, _Failed]:
    compared = {
        result.partition
        for result in outcome.results
        if not result.passed and result.rule.kind in _COMPARING and result.rule.severity is Severity.ERROR
    }
    return {
        name: _Failed("; ".join(slice_.problems or slice_.warnings), name in compared)
        for name, slice_ in outcome.slices.items()
        if not slice_.is_published
    }


@dataclass(frozen=True)
class _Note:
    project: Project
    contract: Contract
    run_id: str
    started: int

    def write(self, failed: Mapping[str, _Failed], signatures: Mapping[str, str] | None) -> None:
        """`signatures` are None when it is not known what was read."""
        if failed:
            with suppress(OSError):
                folder = self.project.lake.table(self.contract).folder
                write_attempts(folder, self._attempts(failed, signatures, read_attempts(folder)))

    def _attempts(
        self, failed: Mapping[str, _Failed], signatures: Mapping[str, str] | None, before: Mapping[str, Attempt]
    ) -> dict[str, Attempt]:
        situations = Situations(self.project, cache(self._open))
        is_known = signatures is not None or self.contract.source is None
        is_known = is_known and not situations.moved_since(self.contract, self.started)
        made, now = {}, time.time_ns()
        for partition, each in failed.items():
            signature = (signatures or {}).get(partition, "")
            compared = each.is_compared
            found = situations.of(self.contract, partition, signature, compared=compared) if is_known else ""
            last = before.get(partition)
            tries = last.count + 1 if last is not None and last.situation == found else 1
            reason = each.reason.partition("\n")[0][:_LONGEST_REASON]
            made[partition] = Attempt(now, self.run_id, found, reason, compared, each.is_transient, tries)
        return made

    def _open(self, table: str) -> Opened:
        return self.project.lake.table(self.project.catalog.get(table)).open()
