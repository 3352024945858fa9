"""The end of a run in words: what is there now, what the rules said, what was kept out, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Contract
from dataplatform.operations.quarantine import held_rows
from dataplatform.operations.text import count, table
from dataplatform.quality.masking import MASK
from dataplatform.quality.results import RuleResult, Status

if TYPE_CHECKING:
    from dataplatform.operations.run import RunSummary
    from dataplatform.project import Project

HEADLINE = "headline"
"""A contract with this tag, partitioned by day, has its newest day's numbers shown."""
_MOST = 12
"""How many lines of one kind are spelled out."""


def summary_text(project: Project, summary: RunSummary) -> str:
    """The summary of a run; one line (and what is in the way) when there was nothing to do."""
    troubles = [*_listed("failed", summary.failed), *_listed("warning", _beside_rules(project, summary))]
    if not summary.waves:
        idle = [] if summary.failed else ["nothing to do: every table is up to date"]
        return "\n".join([*idle, *_repaired(summary), *troubles])
    sections = (_tables, _quality, _quarantine, _headlines)
    parts = ["\n".join(lines) for section in sections if (lines := list(section(project, summary)))]
    ending = [*_repaired(summary), *troubles, *_next(project, summary)]
    return "\n\n".join([*parts, "\n".join(ending)])


def _beside_rules(project: Project, summary: RunSummary) -> list[str]:
    """The warnings that are not a rule's: those are counted, rule by rule, under Quality."""
    rules = {
        f"{project.catalog.get(outcome.table).full_name} {result.partition}: {result}"
        for outcome in summary.outcomes
        for result in outcome.results
        if not result.passed
    }
    return [warning for warning in summary.warnings if warning not in rules]


def _listed(word: str, lines: list[str]) -> Iterator[str]:
    for line in lines[:_MOST]:
        yield f"{word}: {line}"
    if len(lines) > _MOST:
        yield f"{word}: and {len(lines) - _MOST:,} more like these; the runs in Dagster's UI have them all"


def _repaired(summary: RunSummary) -> Iterator[str]:
    if summary.reconciled:
        yield f"Dagster did not know {count(summary.reconciled, 'published slice')}; it does now"


def _tables(project: Project, summary: RunSummary) -> Iterator[str]:
    made: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for outcome in summary.outcomes:
        made[outcome.table] += sum(slice_.status == "published" for slice_ in outcome.slices.values())
        failed[outcome.table] += len(outcome.failed)
    rows = []
    for contract in project.catalog:
        slices = project.lake.table(contract).open().state.slices.values()
        total, aside = sum(entry.rows for entry in slices), sum(entry.quarantined for entry in slices)
        numbers = (len(slices), total, aside, made[contract.name], failed[contract.name])
        rows.append((contract.full_name, *numbers))
    yield "Tables"
    yield table(("table", "slices", "rows", "quarantined", "made now", "failed now"), rows)


def _quality(_project: Project, summary: RunSummary) -> Iterator[str]:
    results = [(outcome.table, result) for outcome in summary.outcomes for result in outcome.results]
    statuses = Counter(result.status for _, result in results)
    if not results:
        return
    told = ", ".join(f"{statuses[status]:,} {status}" for status in Status if statuses[status])
    rules = {(name, result.rule.name) for name, result in results}
    yield f"Quality: {count(len(results), 'verdict')} on {count(len(rules), 'rule')}: {told}"
    broken: dict[tuple[str, str, Status], list[RuleResult]] = {}
    for name, result in results:
        if not result.passed:
            broken.setdefault((name, result.rule.name, result.status), []).append(result)
    rows = [(*key, len(each), sum(result.failed_rows for result in each)) for key, each in broken.items()]
    if rows:
        yield table(("table", "rule", "verdict", "slices", "rows"), rows)


def _quarantine(project: Project, _summary: RunSummary) -> Iterator[str]:
    held = held_rows(project)
    if held:
        yield "Quarantine"
        rows = [(h.table, h.reason, h.rows, "slice not published" if h.is_blocked else "row kept out") for h in held]
        yield table(("table", "reason", "rows", "what happened"), rows)


def _headlines(project: Project, _summary: RunSummary) -> Iterator[str]:
    for contract in project.catalog:
        slices = project.lake.table(contract).open().state.slices
        days = [partition for partition, entry in slices.items() if entry.rows]
        if HEADLINE in contract.tags and contract.is_partitioned and days:
            yield from _headline(project, contract, max(days))


def _headline(project: Project, contract: Contract, day: str) -> Iterator[str]:
    with project.session() as session:
        rows = session.open(project.lake.table(contract).open(), [day])
        found = session.connection.sql(str(session.backend.compile(rows))).fetchall()
    yield f"{contract.full_name} on {day}"
    for values in found[:_MOST]:
        named = [
            pair for pair in zip(contract.columns, values, strict=True) if pair[0].name != contract.partition_column
        ]
        yield table(
            ("number", "value", "unit"),
            [(column.name, MASK if column.is_private else value, column.unit) for column, value in named],
        )


def _next(project: Project, summary: RunSummary) -> Iterator[str]:
    settings = project.settings
    if summary.failed:
        yield "next: put right what is named above, then `dataplatform run` again; what was published before stays"
        yield "      look closer: dataplatform quarantine list · dataplatform check TABLE · dataplatform up"
        return
    shown = next((contract for contract in project.catalog if HEADLINE in contract.tags), None)
    yield "next: dataplatform up                       # tables, checks and lineage in Dagster's UI"
    if shown is not None:
        by = f" ORDER BY {shown.partition_column} DESC" if shown.partition_column else ""
        yield f'      dataplatform query "SELECT * FROM {shown.full_name}{by} LIMIT 7"'
    for page in sorted(settings.reports_dir.glob("*.html")):
        yield f"      open {page}"
