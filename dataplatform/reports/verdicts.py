"""The report's verdicts: how the newest judgement of every rule came out, and which rows are in quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataplatform.lake.platform_tables import QUALITY, RESULTS, PlatformTables
from dataplatform.operations.quarantine import Held, held_rows
from dataplatform.serving.query import run_query

if TYPE_CHECKING:
    from dataplatform.project import Project

Row = Mapping[str, Any]
STATUSES = ("passed", "warned", "quarantined", "failed")
"""From harmless to harmful; a rule counts by the worst it found in any partition."""
_SHOWN = 20
_HISTORY = f"{QUALITY}.{RESULTS}"
_NEWEST = """
WITH newest AS (
    FROM quality.rule_results
    QUALIFY row_number() OVER (PARTITION BY layer, table_name, partition, rule ORDER BY evaluated_at DESC) = 1
),
rules AS (
    SELECT layer, table_name, rule,
           max(list_position(['passed', 'warned', 'quarantined', 'failed'], status)) AS worst,
           count(*) FILTER (status <> 'passed') AS partition_count,
           sum(failed_rows) FILTER (status <> 'passed') AS failed_rows,
           max(evaluated_at) AS evaluated_at
    FROM newest
    GROUP BY ALL
)
"""
_TABLES = (
    _NEWEST
    + """
SELECT layer || '.' || table_name AS table_name, count(*) AS rules, count(*) FILTER (worst = 1) AS passed,
       count(*) FILTER (worst = 2) AS warned, count(*) FILTER (worst = 3) AS quarantined,
       count(*) FILTER (worst = 4) AS failed, max(evaluated_at) AS evaluated_at
FROM rules
GROUP BY layer, table_name
ORDER BY list_position(['raw', 'cleaned', 'dimensional', 'aggregate'], layer), table_name
"""
)
_BROKEN = (
    _NEWEST
    + """
SELECT layer || '.' || table_name AS table_name, rule, worst, partition_count, failed_rows
FROM rules
WHERE worst > 1
ORDER BY worst DESC, failed_rows DESC, table_name, rule
"""
)


@dataclass(frozen=True)
class Verdicts:
    """Rules per table by their worst status, the rules that did not pass, and rows in quarantine by reason."""

    tables: Sequence[Row]
    broken: Sequence[Row]
    broken_left_out: int
    held: Sequence[Held]

    def count(self, status: str) -> int:
        """Rules whose worst status in any partition is `status`."""
        return sum(int(table[status]) for table in self.tables)


def read_verdicts(project: Project) -> Verdicts | None:
    """None as long as nothing was judged."""
    if _HISTORY not in PlatformTables(project.lake.root).readable():
        return None
    broken = [{**row, "status": STATUSES[row["worst"] - 1]} for row in _ask(project, _BROKEN)]
    return Verdicts(_ask(project, _TABLES), broken[:_SHOWN], len(broken[_SHOWN:]), held_rows(project))


def _ask(project: Project, sql: str) -> list[Row]:
    with run_query(project.settings, project.catalog, sql) as answer:
        return [row for batch in answer.batches() for row in batch.to_pylist()]
