"""Judging rows by their contract, on the way to a publication and without one.

`judge` is the one way in which candidates reach the audit. The two dry runs answer what making slices again would
come to, and whether what is published keeps today's contract; they write nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataplatform.assets.candidates import Candidate, from_function, from_source, open_inputs, rows_read
from dataplatform.contracts.model import Contract
from dataplatform.errors import UnfitValueError
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.lake.predicates import describe_partitions
from dataplatform.quality.audit import Audit, audit
from dataplatform.quality.context import AuditContext
from dataplatform.quality.profiles import Profiles, profiles_of
from dataplatform.quality.results import RuleResult, Verdict

if TYPE_CHECKING:
    import ibis

    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project

Maker = Callable[["DuckDBSession", "Opened", Sequence[str]], Candidate]
"""Makes the candidate of some partitions, in the session in which it is judged."""


@dataclass(frozen=True)
class Judgement:
    """What a dry run found: a verdict per partition that has rows to judge, and every rule's result.

    `refused` partitions could not be read and `left` ones would not be touched, each with the reason.
    """

    verdicts: Mapping[str, Verdict]
    results: Sequence[RuleResult]
    refused: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)


def delivered_or_made(project: Project) -> Maker:
    """How a table's own rows come about: from its source, or by its function."""

    def make(session: DuckDBSession, target: Opened, partitions: Sequence[str]) -> Candidate:
        contract = target.table.contract
        if contract.source is not None:
            return from_source(project, session, contract, partitions, target)
        return from_function(project, session, contract, partitions)

    return make


def stage(session: DuckDBSession, target: Opened, candidate: Candidate, rows: ibis.Table) -> ibis.Table:
    """Computes `rows` once, under the Law of the cast. Raises ShapeError."""
    contract = target.table.contract
    staged = session.stage(rows, contract)
    if any(staged.rounded.values()):
        lossy = ", ".join(f"{column} in {count} rows" for column, count in staged.rounded.items() if count)
        raise UnfitValueError(
            f"{contract.full_name} {describe_partitions(candidate.partitions)}: casting to the contract's types "
            f"changed values: {lossy}; round in the function, or declare `rounding: half_up` in the contract"
        )
    return staged.table


def judge(project: Project, session: DuckDBSession, target: Opened, candidate: Candidate, staged: ibis.Table) -> Audit:
    """Audits a staged candidate by today's contract."""
    contract = target.table.contract
    opened = dict(candidate.opened)

    def related(table: str, column: str) -> ibis.Table:
        # what was read is what is compared with: a dimension published meanwhile has other keys
        if table not in opened:
            opened[table] = project.lake.table(project.catalog.get(table)).open()
        return session.open(opened[table], None, [column])

    def rest(columns: Sequence[str], replaced: Collection[str]) -> ibis.Table | None:
        others = [p for p in target.state.slices if p not in replaced]
        return session.open(target, others, columns) if others and contract.is_partitioned else None

    def history(first: str, last: str) -> Profiles:
        revisions = {p: entry.revision for p, entry in target.state.slices.items() if first <= p <= last and entry.rows}
        platform = PlatformTables(project.lake.root)
        return profiles_of(platform.profiles(contract.name, first, last), revisions) if revisions else {}

    context = AuditContext(related, rest, candidate.input_rows, candidate.rejected, history)
    return audit(contract, staged, candidate.partitions, context)


def judge_slices(project: Project, contract: Contract, partitions: Sequence[str]) -> Judgement:
    """What `make_slices` would come to with today's code, contract and inputs. Publishes and records nothing."""
    return _dry_run(project, contract, partitions, delivered_or_made(project))


def judge_published(project: Project, contract: Contract, partitions: Sequence[str]) -> Judgement:
    """What today's contract says of the published rows of `partitions`. Rows in quarantine count as kept out."""

    def make(session: DuckDBSession, target: Opened, wanted: Sequence[str]) -> Candidate:
        return Candidate(
            session.open(target, wanted if contract.is_partitioned else None),
            tuple(wanted),
            input_rows=rows_read(project, contract, wanted, open_inputs(project, contract)),
            rejected={partition: target.state.slices[partition].quarantined for partition in wanted},
        )

    return _dry_run(project, contract, partitions, make)


def _dry_run(project: Project, contract: Contract, partitions: Sequence[str], maker: Maker) -> Judgement:
    target = project.lake.table(contract).open()
    with project.session() as session:
        candidate = maker(session, target, partitions)
        if candidate.rows is None:
            return Judgement({}, candidate.results, candidate.refused, candidate.left)
        judged = judge(project, session, target, candidate, stage(session, target, candidate, candidate.rows))
    return Judgement(judged.verdicts, [*candidate.results, *judged.results], candidate.refused, candidate.left)
