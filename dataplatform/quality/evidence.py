"""The rows that broke a rule, with every reason: what goes to quarantine, and what is kept of a failed partition.

Built only when something is bad. Rules judged on an aggregate (row counts, SQL values, duplicate counts,
expectations) point at no single rows and leave none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import ibis

from dataplatform.contracts.model import Rule, RuleKind
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.quality.context import AuditContext
from dataplatform.quality.keys import HOLDER, clashing_keys
from dataplatform.quality.relationships import orphans
from dataplatform.quality.rows import RowTest, values_text
from dataplatform.quality.scope import Scope
from dataplatform.quality.verdicts import quarantines

if TYPE_CHECKING:
    import ibis.expr.types as ir

EVIDENCE_ROWS = 10_000
"""At most this many offending rows are kept of a failed partition: the same ones in every run."""
REASONS = "_reasons"
_NUMBER, _MARK, _JUDGED = "_number", "_mark", "_judged"


def with_reasons(table: ibis.Table, tests: Sequence[RowTest]) -> ibis.Table:
    """`table` and, in `_reasons`, what each row breaks: rules first, then what its function said of it."""
    return table.mutate(**{REASONS: _reasons(table, tests)})


def blocked_rows(
    scope: Scope,
    table: ibis.Table,
    published: ibis.Table,
    row_tests: Sequence[RowTest],
    table_tests: Sequence[RowTest],
    *,
    broken: Mapping[str, Collection[str]],
    failed: Collection[str],
    context: AuditContext,
) -> ibis.Table:
    """The offending rows of the `failed` partitions of `table`, at most 10,000 of each.

    `row_tests` count against a row wherever it stands. Of the rules that are judged on the `published` rows,
    `broken` names the partitions that break them; `table_tests` are those of them that single rows can break.
    """
    rows = scope.within(with_reasons(table, row_tests), failed)
    # what goes to quarantine is not looked at by the rules that judge what would be published
    judged = rows[REASONS].length() == 0 if quarantines(scope.contract) else ibis.literal(value=True)
    rows = rows.mutate(**{HOLDER: scope.partition_of(rows), _JUDGED: judged})
    for test in table_tests:
        if partitions := broken.get(test.rule.name):
            rows = _add(rows, test.breaks & rows[HOLDER].isin(sorted(partitions)), test.reason)
    good = frozenset(scope.partitions) - frozenset(failed)
    for rule in scope.contract.rules_of(RuleKind.KEYS, RuleKind.RELATIONSHIPS):
        if rule.name in broken:
            if rule.kind is RuleKind.KEYS:
                marks = clashing_keys(scope, published, rule, good, context.rest)
            else:
                hit = published.semi_join(orphans(rule, published, context.related), rule.columns[0])
                marks = hit.select(*rule.columns, **{HOLDER: scope.partition_of(hit)}).distinct()
            rows = _marked(rows, marks, rule)
    return _capped(scope, rows.filter(rows[REASONS].length() > 0))


def _marked(rows: ibis.Table, marks: ibis.Table, rule: Rule) -> ibis.Table:
    """`rows` with the rule's reason where `marks` (the rule's columns and the partition) names them."""
    columns = [*rule.columns, HOLDER]
    joined = rows.left_join(marks.mutate(**{_MARK: ibis.literal(value=True)}), columns, rname="{name}_marked")
    kept = joined.select(*rows.columns, _MARK)
    name: Any = ibis.literal(f"{rule.name}: ")
    return _add(kept, kept[_MARK].notnull(), name + values_text(kept, rule.columns)).drop(_MARK)


def _add(rows: ibis.Table, applies: Any, reason: Any) -> ibis.Table:
    more = _where([(rows[_JUDGED] & applies, reason)])
    return rows.mutate(**{REASONS: rows[REASONS].concat(more)})


def _capped(scope: Scope, rows: ibis.Table) -> ibis.Table:
    """The first rows of each partition by key and, where that says nothing, by all values."""
    columns = scope.contract.column_names
    order = [rows[name] for name in dict.fromkeys([*scope.contract.primary_key, *columns])]
    number = ibis.row_number().over(group_by=rows[HOLDER], order_by=order)
    numbered = rows.mutate(**{_NUMBER: number})
    return numbered.filter(numbered[_NUMBER] < EVIDENCE_ROWS).select(*columns, REASONS)


def _reasons(table: ibis.Table, tests: Sequence[RowTest]) -> ir.ArrayValue:
    broken = _where([(test.breaks, test.reason) for test in tests])
    if ROW_ERRORS not in table.columns:
        return broken
    nothing: Any = ibis.array([ibis.null("string")])
    return _filled(broken.concat(table[ROW_ERRORS].fill_null(nothing)))


def _where(causes: Sequence[tuple[Any, Any]]) -> ir.ArrayValue:
    """The texts of the causes that apply."""
    nothing = ibis.null("string")
    texts: list[Any] = [ibis.ifelse(applies, text, nothing) for applies, text in causes]
    return _filled(ibis.array(texts or [nothing]))


def _filled(texts: Any) -> ir.ArrayValue:
    return cast("ir.ArrayValue", texts.filter(lambda text: text.notnull()))
