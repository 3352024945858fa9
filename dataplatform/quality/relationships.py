"""Relationships: every value of a column must be a published value of the column it refers to.

NULL refers to nothing and passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Rule, RuleKind
from dataplatform.quality.context import Related
from dataplatform.quality.masking import MASK, is_private
from dataplatform.quality.results import RuleResult
from dataplatform.quality.rows import values_text
from dataplatform.quality.scope import Scope, fetch

if TYPE_CHECKING:
    import ibis


def orphans(rule: Rule, published: ibis.Table, related: Related) -> ibis.Table:
    """The distinct values that refer to nothing, in one column called like the referring one."""
    column = rule.columns[0]
    values = published.select(column).filter(published[column].notnull()).distinct()
    target = str(rule.arguments["column"])
    parents = related(str(rule.arguments["table"]), target)
    return values.anti_join(parents, [values[column] == parents[target]])


def judge_relationships(
    scope: Scope, published: ibis.Table, rows: Mapping[str, int], related: Related
) -> list[RuleResult]:
    """Every relationship in every partition; `rows` are the rows of each partition of `published`."""
    results = []
    for rule in scope.contract.rules_of(RuleKind.RELATIONSHIPS):
        broken = _orphan_rows(scope, rule, published, related)
        expected = f"{rule.columns[0]} in {rule.arguments['table']}.{rule.arguments['column']}"
        for name in scope.partitions:
            count, example = broken.get(name, (0, ""))
            example = MASK if is_private(scope.contract, rule) else example
            found = f"{count} of {rows[name]} rows, such as {example}" if count else f"all {rows[name]} rows"
            results.append(RuleResult(rule, name, not count, expected, found, count, rows[name]))
    return results


def _orphan_rows(scope: Scope, rule: Rule, published: ibis.Table, related: Related) -> dict[str, tuple[int, str]]:
    """Rows that refer to nothing, and one such value, per partition that has any."""
    missing = orphans(rule, published, related)
    if not fetch(missing.limit(1)):
        return {}
    hit = published.semi_join(missing, rule.columns[0])
    measured = scope.measure(hit, {"rows": hit.count(), "example": values_text(hit, rule.columns).min()})
    return {name: (found["rows"], str(found["example"])) for name, found in measured.items()}
