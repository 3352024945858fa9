"""Results as people read them in an asset check."""

from __future__ import annotations

from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform.quality.report import FAILURES, RULES, checks_by_kind
from dataplatform.quality.results import RuleResult

DAYS = [f"2011-01-{day:02d}" for day in range(1, 29)]


def _rule(name: str, kind: RuleKind = RuleKind.ROWS, severity: Severity = Severity.ERROR) -> Rule:
    return Rule(name, kind, "minimum", severity=severity)


def _result(rule: Rule, partition: str, *, failed: int = 0, quarantined: bool = False) -> RuleResult:
    return RuleResult(rule, partition, not failed, "x >= 0", f"{failed} rows", failed, 100, quarantined)


def test_each_kind_that_has_results_gets_one_summary_in_a_fixed_order() -> None:
    results = [_result(_rule("rows", RuleKind.TABLE), DAYS[0]), _result(_rule("x:minimum"), DAYS[0])]

    summaries = checks_by_kind(results)

    assert [(each.kind, each.passed) for each in summaries] == [(RuleKind.ROWS, True), (RuleKind.TABLE, True)]
    assert summaries[0].headline == "every rule kept"
    assert summaries[0].rules == (
        {"rule": "x:minimum", "expected": "x >= 0", "passed": 1, "warned": 0, "quarantined": 0, "failed": 0, "rows": 0},
    )
    assert (summaries[0].worst, summaries[0].findings) == ("", "")


def test_a_failed_rule_makes_the_check_an_error() -> None:
    [summary] = checks_by_kind([_result(_rule("a"), DAYS[0]), _result(_rule("b"), DAYS[0], failed=1)])

    assert (summary.passed, summary.severity) == (False, Severity.ERROR)


def test_warnings_and_quarantined_rows_make_the_check_a_warning() -> None:
    warned = _result(_rule("a", severity=Severity.WARNING), DAYS[0], failed=1)
    put_aside = _result(_rule("b"), DAYS[0], failed=1, quarantined=True)

    for result in (warned, put_aside):
        [summary] = checks_by_kind([result])
        assert (summary.passed, summary.severity) == (False, Severity.WARNING)


def test_the_worst_stands_first_in_the_table_and_in_the_list() -> None:
    warning, error = _rule("warning", severity=Severity.WARNING), _rule("error")
    results = [_result(_rule("good"), DAYS[0]), _result(warning, DAYS[0], failed=9)]
    results += [_result(error, DAYS[0], failed=1), _result(error, DAYS[1], failed=5), _result(error, DAYS[2])]

    [summary] = checks_by_kind(results)

    assert summary.headline == "2 of 3 rules not kept: error, warning"
    assert summary.worst == f"{DAYS[1]} error: expected x >= 0, found 5 rows"
    assert [line["rule"] for line in summary.rules] == ["error", "warning", "good"]
    assert [summary.rules[0][count] for count in ("passed", "failed", "rows")] == [1, 2, 6]
    assert summary.findings.splitlines() == [
        f"- **failed** {DAYS[1]} error: expected x >= 0, found 5 rows",
        f"- **failed** {DAYS[0]} error: expected x >= 0, found 1 rows",
        f"- **warned** {DAYS[0]} warning: expected x >= 0, found 9 rows",
    ]


def test_many_failures_are_cut_and_counted() -> None:
    results = [_result(_rule(f"r{number}"), day, failed=1) for day in DAYS for number in range(10)]

    findings = checks_by_kind(results)[0].findings

    assert findings.count("- **failed**") == FAILURES
    assert findings.endswith(f"… and {280 - FAILURES} more, all of them in `quality.rule_results`")


def test_many_rules_are_cut_and_counted() -> None:
    [summary] = checks_by_kind([_result(_rule(f"r{number}"), DAYS[0]) for number in range(RULES + 7)])

    assert len(summary.rules) == RULES
    assert summary.findings.endswith("… and 7 rules more")


def test_a_text_cannot_break_out_of_its_line() -> None:
    odd = RuleResult(_rule("a|b"), "all", False, "matches ^a|b$\n# x", "0", 1, 1)

    assert checks_by_kind([odd])[0].findings == "- **failed** all a|b: expected matches ^a|b$ # x, found 0"


def test_an_expectation_that_differs_by_partition_is_not_shown_as_one() -> None:
    rule = _rule("row_preserving:a")
    results = [RuleResult(rule, day, True, f"{number} rows", "", 0, 1) for number, day in enumerate(DAYS)]

    [line] = checks_by_kind(results)[0].rules
    assert (line["expected"], line["passed"]) == ("differs by partition", 28)
