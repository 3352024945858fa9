"""An audit's results as people read them: one summary per kind of rule, in Markdown. No Dagster here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dataplatform.contracts.model import RuleKind, Severity
from dataplatform.quality.results import RuleResult, Status

FAILURES = 50
"""At most this many failures are spelled out; the history holds all of them."""
RULES = 100
"""At most this many rules are listed."""
_BAD = (Status.FAILED, Status.QUARANTINED, Status.WARNED)


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """All rules of one kind. `severity` is that of the worst that did not pass: an error blocked a partition."""

    kind: RuleKind
    passed: bool
    severity: Severity
    markdown: str


def checks_by_kind(results: Sequence[RuleResult]) -> list[CheckSummary]:
    """One summary per kind that has results, in the kinds' order. Quarantined rows count as a warning."""
    found = []
    for kind in RuleKind:
        of_kind = [result for result in results if result.rule.kind is kind]
        if of_kind:
            failed = any(result.status is Status.FAILED for result in of_kind)
            severity = Severity.ERROR if failed else Severity.WARNING
            found.append(CheckSummary(kind, all(result.passed for result in of_kind), severity, _markdown(of_kind)))
    return found


def _markdown(results: Sequence[RuleResult]) -> str:
    by_rule: dict[str, list[RuleResult]] = {}
    for result in results:
        by_rule.setdefault(result.rule.name, []).append(result)
    rules = sorted(by_rule.values(), key=lambda each: min(_rank(result) for result in each))
    lines = [
        "| rule | expected | passed | warned | quarantined | failed | rows |",
        "|---|---|---|---|---|---|---|",
        *(_rule_line(each) for each in rules[:RULES]),
    ]
    if len(rules) > RULES:
        lines.append(f"\n… and {len(rules) - RULES} rules more")
    failures = sorted((result for result in results if not result.passed), key=_rank)
    if failures:
        lines += ["", *(_failure_line(result) for result in failures[:FAILURES])]
    if len(failures) > FAILURES:
        lines.append(f"\n… and {len(failures) - FAILURES} more, all of them in `quality.rule_results`")
    return "\n".join(lines)


def _rank(result: RuleResult) -> tuple[int, int]:
    """Worst first, and of equally bad ones that with more rows."""
    return (_BAD.index(result.status) if result.status in _BAD else len(_BAD), -result.failed_rows)


def _rule_line(results: Sequence[RuleResult]) -> str:
    counts = Counter(result.status for result in results)
    expected = {result.expected for result in results}
    cells = [
        f"`{_cell(results[0].rule.name)}`",
        _cell(expected.pop()) if len(expected) == 1 else "differs by partition",
        *(str(counts[status]) for status in (Status.PASSED, Status.WARNED, Status.QUARANTINED, Status.FAILED)),
        str(sum(result.failed_rows for result in results)),
    ]
    return f"| {' | '.join(cells)} |"


def _failure_line(result: RuleResult) -> str:
    return f"- **{result.status.value}** {result.partition} {_cell(str(result))}"


def _cell(text: str) -> str:
    """Text that cannot break out of a table's cell."""
    return " ".join(text.replace("|", "\\|").split())
