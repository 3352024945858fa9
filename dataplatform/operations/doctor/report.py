"""An examination as people and as monitors read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Severity
from dataplatform.operations.text import count

if TYPE_CHECKING:
    from dataplatform.operations.doctor.examination import Examination


def as_text(found: Examination) -> str:
    """One finding after the other: how bad, what, what mends it and where to read on; then how many."""
    return "\n".join(_lines(found))


def _lines(found: Examination) -> Iterator[str]:
    for number, finding in enumerate(found.findings):
        yield f"{finding.severity.value}: {finding.what}"
        if number in found.done:
            yield f"  fixed: {found.done[number]}"
            continue
        yield f"  mend:  {finding.mend}"
        yield f"  read:  {finding.runbook}"
        if number in found.failed:
            yield f"  --fix did not work: {found.failed[number]}"
    yield from (f"not looked at: {name}, because {reason}" for name, reason in found.skipped.items())
    looks = f"{count(found.looked, 'look')} in {found.seconds:.1f} s"
    if not found.findings:
        yield f"nothing is wrong ({looks})"
        return
    numbers = [sum(each.severity is severity for each in found.findings) for severity in Severity]
    counted = ", ".join(count(n, severity.value) for n, severity in zip(numbers, Severity, strict=True) if n)
    fixed = f", {len(found.done)} fixed" if found.done else ""
    yield f"{counted}{fixed} ({looks})"


def as_json(found: Examination) -> str:
    """The same for programs, in one object."""
    findings: list[dict[str, Any]] = [
        {
            "kind": finding.kind.value,
            "severity": finding.severity.value,
            "what": finding.what,
            "mend": finding.mend,
            "runbook": finding.runbook,
            "can_fix": finding.fix is not None,
            "fixed": found.done.get(number),
            "fix_failed": found.failed.get(number),
        }
        for number, finding in enumerate(found.findings)
    ]
    whole = {
        "exit_code": found.exit_code,
        "findings": findings,
        "not_looked_at": found.skipped,
        "looks": found.looked,
        "seconds": round(found.seconds, 3),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)
