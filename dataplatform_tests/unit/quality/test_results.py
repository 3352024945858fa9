"""What the results of an audit say."""

from __future__ import annotations

import pytest

from dataplatform.contracts.model import Rule, RuleKind, Severity
from dataplatform.quality.results import RuleResult, Status, Verdict


@pytest.mark.parametrize(
    ("passed", "severity", "quarantined", "status"),
    [
        (True, Severity.ERROR, False, Status.PASSED),
        (True, Severity.WARNING, False, Status.PASSED),
        (False, Severity.WARNING, False, Status.WARNED),
        (False, Severity.ERROR, True, Status.QUARANTINED),
        (False, Severity.ERROR, False, Status.FAILED),
    ],
)
def test_the_status_follows_from_severity_and_quarantine(
    passed: bool, severity: Severity, quarantined: bool, status: Status
) -> None:
    rule = Rule("r", RuleKind.ROWS, "required", severity=severity)

    assert RuleResult(rule, "all", passed, "x", "y", 0, 1, quarantined).status is status


def test_a_result_in_one_line_names_rule_expected_and_found() -> None:
    rule = Rule("rows_per_day", RuleKind.TABLE, "rowCount")

    assert str(RuleResult(rule, "all", False, "> 1", "0", 0, 0)) == "rows_per_day: expected > 1, found 0"


def test_a_verdict_without_problems_is_good() -> None:
    assert Verdict("all", 1, 1, 0, warnings=("hm",)).passed
    assert not Verdict("all", 1, 0, 0, problems=("no",)).passed
