"""Rows that could not be published: which there are and why, a look at them, and making their slices again.

The quarantine keeps whole rows; whatever is shown here has its private columns masked, and reasons too where they
may hold a private value. A replay edits nothing: it makes slices again with today's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataplatform.assets.judging import Judgement, judge_slices
from dataplatform.contracts.model import Contract
from dataplatform.lake.platform_tables import PARTITION, PlatformTables
from dataplatform.operations.text import count, ranges, table
from dataplatform.quality.evidence import REASONS
from dataplatform.quality.history import BLOCKED
from dataplatform.quality.masking import MASK, mask_reasons

if TYPE_CHECKING:
    import duckdb

    from dataplatform.project import Project

_OWN = ("_status", REASONS, PARTITION, "_run_id", "_quarantined_at")
"""The columns of a quarantine beside the contract's."""
_REASON_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Held:
    """Rows of one table that are kept aside for one reason. `blocked` ones kept a whole partition from going out."""

    table: str
    is_blocked: bool
    reason: str
    rows: int
    partitions: frozenset[str]


def held_rows(project: Project) -> list[Held]:
    """Everything in quarantine, by table, state and reason; a row counts once for each of its reasons."""
    return [held for contract in project.catalog for held in _held(project, contract)]


def _held(project: Project, contract: Contract) -> Iterator[Held]:
    found: dict[tuple[bool, str], tuple[int, set[str]]] = {}
    query = (
        f"SELECT _status, reason, {PARTITION}, count(*) "
        f"FROM (SELECT _status, unnest({REASONS}) AS reason, {PARTITION} FROM held) GROUP BY ALL"
    )
    if not PlatformTables(project.lake.root).held(contract.name):  # told by statistics alone
        return
    with _opened(project, contract) as connection:
        rows = connection.execute(query).fetchall() if connection else []
    for status, reason, partition, number in rows:
        key = (status == BLOCKED, _name_of(contract, reason))
        total, partitions = found.get(key, (0, set()))
        found[key] = (total + number, partitions | {partition})
    for (is_blocked, reason), (total, partitions) in sorted(found.items()):
        yield Held(contract.full_name, is_blocked, reason, total, frozenset(partitions))


@contextmanager
def _opened(project: Project, contract: Contract) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A connection on which the table's quarantine is called `held`; None when it has none."""
    from deltalake import DeltaTable

    uri = PlatformTables(project.lake.root).quarantine_uri(contract.name)
    if not DeltaTable.is_deltatable(str(uri)):
        yield None
        return
    files = ["'" + each.removeprefix("file://").replace("'", "''") + "'" for each in DeltaTable(str(uri)).file_uris()]
    if not files:
        yield None
        return
    with project.session() as session:
        # not through Arrow: a small file for each day takes DuckDB a third of the time
        options = "union_by_name = true, hive_partitioning = true, hive_types_autocast = false"
        session.connection.execute(f"CREATE TEMP VIEW held AS FROM read_parquet([{', '.join(files)}], {options})")
        yield session.connection


def _name_of(contract: Contract, reason: str) -> str:
    """The reason without the value: `order_amount:minimum: -1` and `unparseable:amount='x'` up to the value."""
    (masked,) = mask_reasons(contract, [reason])
    return masked.partition(": ")[0].partition("=")[0][:_REASON_LENGTH]


def list_text(project: Project) -> str:
    """The quarantine at a glance, in one table; one line when it is empty."""
    held = held_rows(project)
    if not held:
        return "the quarantine is empty"
    rows = [
        (
            each.table,
            "partition not published" if each.is_blocked else "row kept out",
            each.reason,
            each.rows,
            ranges(each.partitions, project.keys(project.catalog.get(each.table))),
        )
        for each in held
    ]
    return table(("table", "what happened", "reason", "rows", "partitions"), rows, indent="")


def show_text(project: Project, contract: Contract, partition: str | None, limit: int) -> str:
    """Up to `limit` rows of one table's quarantine: where, why, and what they hold, private columns masked."""
    chosen = f"WHERE {PARTITION} = $partition" if partition else ""
    query = f"SELECT {PARTITION}, * EXCLUDE ({PARTITION}) FROM held {chosen} ORDER BY ALL"
    with _opened(project, contract) as connection:
        if connection is None:
            return f"nothing of {contract.full_name} is in quarantine"
        parameters = {"partition": partition} if partition else {}
        found = connection.execute(query, parameters)
        names = [column[0] for column in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchmany(limit)]
        more = len(found.fetchall())
    lines = [line for row in rows for line in _row(contract, row)]
    if more:
        lines.append(f"… and {count(more, 'row')} more; see more with --limit")
    where = f" {partition}" if partition else ""
    return "\n".join(lines) or f"nothing of {contract.full_name}{where} is in quarantine"


def _row(contract: Contract, row: Mapping[str, Any]) -> Iterator[str]:
    reasons = "; ".join(mask_reasons(contract, row[REASONS]))
    yield f"{row[PARTITION]}  {row['_status']} by run {row['_run_id']}: {reasons}"
    shown = {name: value for name, value in row.items() if name not in _OWN and value is not None}
    private = contract.private_columns
    yield "    " + ", ".join(f"{name} {MASK if name in private else value}" for name, value in shown.items())


def held_partitions(project: Project, contract: Contract, partition: str | None) -> list[str]:
    """The partitions with rows in quarantine, in order: all of them, or the one asked for if it has any."""
    counts = PlatformTables(project.lake.root).quarantined_counts(contract.name)
    return [key for key in project.keys(contract) if counts.get(key) and partition in (None, key)]


def replay_plan(project: Project, contract: Contract, partitions: Sequence[str]) -> str:
    """What making `partitions` again with today's code would come to. Publishes nothing. Raises HeldError."""
    project.lake.table(contract).open().refuse_held()
    before = PlatformTables(project.lake.root).quarantined_counts(contract.name)
    judged = judge_slices(project, contract, partitions)
    rows = [(partition, before.get(partition, 0), *_outlook(judged, partition)) for partition in partitions]
    return table(("partition", "held now", "held then", "published then", "because"), rows)


def _outlook(judged: Judgement, partition: str) -> tuple[object, object, str]:
    verdict = judged.verdicts.get(partition)
    if verdict is None:
        return None, None, judged.refused.get(partition) or judged.left.get(partition) or "nothing to make it from"
    if verdict.problems:
        return None, None, f"not published: {'; '.join(verdict.problems)}"
    return verdict.quarantined_rows, verdict.published_rows, "; ".join(verdict.warnings)
