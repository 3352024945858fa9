"""What is published now, judged by today's contract, publishing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dataplatform.assets.judging import judge_published
from dataplatform.contracts.model import Contract
from dataplatform.errors import PermanentError
from dataplatform.operations.text import count, ranges, table
from dataplatform.quality.results import RuleResult, Status

if TYPE_CHECKING:
    from dataplatform.project import Project

_EXAMPLES = 3
"""How many failures of a rule are spelled out; `quality.rule_results` has the history of all."""


def check_text(project: Project, contract: Contract, partition: str | None = None) -> tuple[str, bool]:
    """Every rule with its verdict over the published partitions (or one), and whether no error was found.

    Raises PermanentError when nothing is published.
    """
    published = project.lake.table(contract).open().state.slices
    chosen = [key for key in project.keys(contract) if key in published and partition in (None, key)]
    if not chosen:
        raise PermanentError(f"{contract.full_name} {partition or ''} was never published; run `dataplatform run`")
    results = judge_published(project, contract, chosen).results
    by_rule: dict[str, list[RuleResult]] = {}
    for result in results:
        by_rule.setdefault(result.rule.name, []).append(result)
    # rows that would be put aside stand in the published table: here that is an error
    bad = [result for result in results if result.status in (Status.FAILED, Status.QUARANTINED)]
    rows = [
        (name, of_rule[0].rule.severity, _verdict(of_rule), sum(result.failed_rows for result in of_rule))
        for name, of_rule in by_rule.items()
    ]
    text = [table(("rule", "severity", "verdict", "rows"), rows)]
    text += [line for each in by_rule.values() for line in _failures(project, contract, each)]
    over = ranges(chosen, project.keys(contract))
    text.append(
        f"{contract.full_name}{f' {over}' if over else ''}: "
        f"{count(len(by_rule), 'rule')}, {count(len({r.rule.name for r in bad}), 'rule')} broken"
    )
    return "\n".join(text), not bad


def _verdict(results: list[RuleResult]) -> str:
    broken = sum(not result.passed for result in results)
    if not broken:
        return "kept"
    return "broken" if len(results) == 1 else f"broken in {broken} of {len(results)}"


def _failures(project: Project, contract: Contract, results: list[RuleResult]) -> Iterator[str]:
    failed = [result for result in results if not result.passed]
    for result in failed[:_EXAMPLES]:
        yield f"  {result.partition}: {result}"
    if len(failed) > _EXAMPLES:
        rest = {result.partition for result in failed[_EXAMPLES:]}
        yield f"  {results[0].rule.name}: also in {ranges(rest, project.keys(contract))}"
