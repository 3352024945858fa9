"""Judging a staged candidate by its contract, partition by partition, before anything of it is published.

The order: row rules; what they leave to be published (`raw` and `cleaned` put broken rows aside, elsewhere a broken
row fails its partition); the rules of tables, relationships and expectations on that; keys last, because they depend
on which partitions go out. A range is judged as its days would be one after the other. When nothing is bad one pass
over the candidate answers all row rules, and the candidate itself is what is published.

Nothing is written here; shape and types were checked, and the candidate computed once, before.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import ibis

from dataplatform.contracts.model import Contract, RuleKind, Severity
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.quality.anomalies import first_day_read, judge_anomalies
from dataplatform.quality.context import AuditContext
from dataplatform.quality.evidence import REASONS, blocked_rows, with_reasons
from dataplatform.quality.expectations import judge_expectations
from dataplatform.quality.keys import judge_keys, key_tests
from dataplatform.quality.metrics import judge_table, metric_tests
from dataplatform.quality.profiles import Profiles, measure_profiles
from dataplatform.quality.relationships import judge_relationships
from dataplatform.quality.results import RuleResult, Status, Verdict
from dataplatform.quality.rows import RowTest, row_tests
from dataplatform.quality.scope import Scope, Tally
from dataplatform.quality.verdicts import (
    failed_partitions,
    preserving_results,
    quarantines,
    row_error_results,
    row_results,
    share_results,
    verdicts,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found, and the rows that follow from it, in contract columns (and `_reasons`).

    `good`: to be published. `quarantined`: rows of good partitions that stay out. `blocked`: offending rows of failed
    partitions. The tables are expressions over the candidate: use them before its session is closed.
    """

    results: Sequence[RuleResult]
    verdicts: Mapping[str, Verdict]
    good: ibis.Table
    quarantined: ibis.Table | None = None
    blocked: ibis.Table | None = None
    profiles: Profiles = field(default_factory=dict)
    """What was measured of the rows to be published, where the contract asks for anomalies."""

    @property
    def passed(self) -> tuple[str, ...]:
        """The partitions to publish, in order."""
        return tuple(name for name, verdict in self.verdicts.items() if verdict.passed)

    @property
    def failed(self) -> tuple[str, ...]:
        """The partitions that keep what they have, in order."""
        return tuple(name for name, verdict in self.verdicts.items() if not verdict.passed)


def audit(contract: Contract, staged: ibis.Table, partitions: Sequence[str], context: AuditContext) -> Audit:
    """Judges `staged` (contract columns and types, perhaps `_row_errors`) in each of `partitions`.

    A partition without rows is judged too. Raises ShapeError when rows lie outside `partitions`.
    """
    scope = Scope(contract, tuple(sorted(set(partitions))))
    candidate = _Candidate.of(scope, staged)
    results = candidate.row_results()
    if quarantines(contract):
        results += share_results(scope, candidate.kept, candidate.tally, context.rejected)
    results += preserving_results(scope, candidate.tally, context.rejected, context.input_rows)
    results += judge_table(scope, candidate.published, candidate.kept)
    results += judge_relationships(scope, candidate.published, candidate.kept.rows, context.related)
    results += judge_expectations(scope, candidate.published, candidate.kept.rows)
    failed = failed_partitions(results)
    results += judge_keys(scope, candidate.published, candidate.kept, failed, context.rest)
    failed = failed_partitions(results)
    profiles = measure_profiles(scope, candidate.published)
    results += judge_anomalies(scope, profiles, _published(scope, context), candidate.kept.rows, failed)
    judged = verdicts(scope, results, candidate.tally, candidate.kept, context.rejected)
    failed = failed_partitions(results)
    return Audit(
        results,
        judged,
        candidate.good(failed),
        candidate.quarantined(failed),
        candidate.blocked(results, context),
        profiles,
    )


def _published(scope: Scope, context: AuditContext) -> Profiles:
    rules = scope.contract.rules_of(RuleKind.ANOMALIES)
    return context.history(first_day_read(scope.partitions[0], rules), scope.partitions[-1]) if rules else {}


@dataclass(frozen=True)
class _Candidate:
    """A staged table with what its row rules say of it.

    `table` is `staged` with a column for each predicate. `published` are its rows that would be published if their
    partition is good, and `kept` counts them; it is the very `table` when no row goes to quarantine.
    """

    scope: Scope
    staged: ibis.Table
    table: ibis.Table
    tests: Sequence[RowTest]
    tally: Tally
    published: ibis.Table
    kept: Tally

    @classmethod
    def of(cls, scope: Scope, staged: ibis.Table) -> _Candidate:
        contract = scope.contract
        table, tests = row_tests(contract, staged, contract.rules_of(RuleKind.ROWS))
        conditions: dict[str, Any] = {test.rule.name: test.breaks for test in [*tests, *_table_tests(contract, table)]}
        if ROW_ERRORS in table.columns:
            conditions[ROW_ERRORS] = table[ROW_ERRORS].length() > 0
        tally = scope.tally(table, conditions)
        scope.refuse_outside(tally.outside)
        bad = [
            conditions[name]
            for name in [*(test.rule.name for test in tests if test.rule.severity is Severity.ERROR), ROW_ERRORS]
            if any(tally.counts.get(name, {}).values())
        ]
        if not bad or not quarantines(contract):
            return cls(scope, staged, table, tests, tally, table, tally)
        published = table.filter(~_true(reduce(operator.or_, bad)))
        kept = scope.tally(published, {test.rule.name: test.breaks for test in _table_tests(contract, published)})
        return cls(scope, staged, table, tests, tally, published, kept)

    def row_results(self) -> list[RuleResult]:
        results = row_results(self.scope, self.table, self.tests, self.tally)
        return results + row_error_results(self.scope, self.table, self.tally)

    def good(self, failed: frozenset[str]) -> ibis.Table:
        """The rows to publish; the staged table itself when all of it is good."""
        if self.published is self.table and not failed and ROW_ERRORS not in self.staged.columns:
            return self.staged
        rows = self.scope.within(self.published, set(self.scope.partitions) - failed)
        return rows.select(*self.scope.contract.column_names)

    def quarantined(self, failed: frozenset[str]) -> ibis.Table | None:
        """The bad rows of the good partitions; None when there are none."""
        good = [name for name in self.scope.partitions if name not in failed]
        if all(self.tally.rows[name] == self.kept.rows[name] for name in good):
            return None
        rows = self.scope.within(with_reasons(self.table, self._error_tests), good)
        return rows.filter(rows[REASONS].length() > 0).select(*self.scope.contract.column_names, REASONS)

    def blocked(self, results: Sequence[RuleResult], context: AuditContext) -> ibis.Table | None:
        """The offending rows of the failed partitions; None when their rules point at no rows."""
        failed = failed_partitions(results)
        broken: dict[str, set[str]] = {}
        for result in results:
            if (
                result.partition in failed
                and result.failed_rows
                and result.status in {Status.FAILED, Status.QUARANTINED}
            ):
                broken.setdefault(result.rule.name, set()).add(result.partition)
        if not broken:
            return None
        return blocked_rows(
            self.scope,
            self.table,
            self.published,
            self._error_tests,
            _table_tests(self.scope.contract, self.table),
            broken=broken,
            failed=failed,
            context=context,
        )

    @property
    def _error_tests(self) -> list[RowTest]:
        """The tests of the rules that some row breaks and that count against it."""
        return [
            test
            for test in self.tests
            if test.rule.severity is Severity.ERROR and any(self.tally.counts[test.rule.name].values())
        ]


def _table_tests(contract: Contract, table: ibis.Table) -> list[RowTest]:
    """What table rules and keys count row by row: judged on what would be published."""
    return [*metric_tests(contract, table), *key_tests(contract, table)]


def _true(condition: Any) -> Any:
    """`condition`, with false for NULL."""
    return ibis.coalesce(condition, ibis.literal(value=False))
