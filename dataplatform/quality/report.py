"""An audit's results as people read them: one summary per kind of rule. No Dagster here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dataplatform.contracts.model import RuleKind, Severity
from dataplatform.quality.results import Course, RuleResult, Status

FAILURES = 50
"""At most this many failures are spelled out; the history holds all of them."""
RULES = 100
"""At most this many rules are listed."""
COURSES = 1
"""At most so many anomalies are drawn, the newest ones: a picture is stored with every run."""
RuleLine = Mapping[str, str | int]
"""`rule`, `expected`, the partitions it `passed`, `warned`, `quarantined` or `failed` in, the `rows` that break it."""
_BAD = (Status.FAILED, Status.QUARANTINED, Status.WARNED)


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """All rules of one kind. `severity` is that of the worst that did not pass: an error blocked a partition.

    `worst` is the worst single failure, so that whoever is called at night sees the reason at first sight.
    `rules` has a line per rule, the worst first: how many partitions it passed in, and how many rows break it.
    `findings` spells out in Markdown what did not pass, and is empty when everything did.
    """

    kind: RuleKind
    passed: bool
    severity: Severity
    headline: str
    worst: str
    rules: tuple[RuleLine, ...]
    findings: str
    courses: Mapping[str, Course] = field(default_factory=dict)
    """Of the newest anomalies, how it came to each: by rule and partition."""


def checks_by_kind(results: Sequence[RuleResult]) -> list[CheckSummary]:
    """One summary per kind that has results, in the kinds' order. Quarantined rows count as a warning."""
    return [
        _summary(kind, of_kind)
        for kind in RuleKind
        if (of_kind := [result for result in results if result.rule.kind is kind])
    ]


def _summary(kind: RuleKind, results: Sequence[RuleResult]) -> CheckSummary:
    by_rule: dict[str, list[RuleResult]] = {}
    for result in results:
        by_rule.setdefault(result.rule.name, []).append(result)
    rules = sorted(by_rule.values(), key=lambda each: min(_rank(result) for result in each))
    broken = [each[0].rule.name for each in rules if not all(result.passed for result in each)]
    headline = f"{len(broken)} of {len(rules)} rules not kept: {', '.join(broken[:5])}" if broken else "every rule kept"
    severity = Severity.ERROR if any(result.status is Status.FAILED for result in results) else Severity.WARNING
    lines = tuple(_rule_line(each) for each in rules[:RULES])
    failures = sorted((result for result in results if not result.passed), key=_rank)
    worst = _cell(f"{failures[0].partition} {failures[0]}") if failures else ""
    findings = _findings(failures, len(rules) - len(lines))
    return CheckSummary(kind, not broken, severity, headline, worst, lines, findings, _courses(results))


def _findings(failures: Sequence[RuleResult], unlisted: int) -> str:
    lines = [_failure_line(result) for result in failures[:FAILURES]]
    if len(failures) > FAILURES:
        lines.append(f"\n… and {len(failures) - FAILURES} more, all of them in `quality.rule_results`")
    if unlisted > 0:
        lines.append(f"\n… and {unlisted} rules more")
    return "\n".join(lines)


def _courses(results: Sequence[RuleResult]) -> dict[str, Course]:
    drawn = [result for result in results if result.course is not None]
    newest = sorted(drawn, key=lambda result: result.partition)[-COURSES:]
    return {f"{each.rule.name} {each.partition}": each.course for each in newest if each.course is not None}


def _rank(result: RuleResult) -> tuple[int, int]:
    """Worst first, and of equally bad ones that with more rows."""
    return (_BAD.index(result.status) if result.status in _BAD else len(_BAD), -result.failed_rows)


def _rule_line(results: Sequence[RuleResult]) -> RuleLine:
    counts = Counter(result.status for result in results)
    expected = {result.expected for result in results}
    return {
        "rule": results[0].rule.name,
        "expected": expected.pop() if len(expected) == 1 else "differs by partition",
        **{
            status.value: counts[status] for status in (Status.PASSED, Status.WARNED, Status.QUARANTINED, Status.FAILED)
        },
        "rows": sum(result.failed_rows for result in results),
    }


def _failure_line(result: RuleResult) -> str:
    return f"- **{result.status.value}** {result.partition} {_cell(str(result))}"


def _cell(text: str) -> str:
    """Text that cannot break out of its line."""
    return " ".join(text.split())
