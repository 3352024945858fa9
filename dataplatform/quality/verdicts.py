"""Results of the rules that rows break one by one or that count rows, and the verdicts that follow from all results.

Everything here works on counts already measured; the measuring is `audit.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Contract, Layer, Rule, RuleKind, Severity
from dataplatform.engines.session import ROW_ERRORS
from dataplatform.errors import PermanentError
from dataplatform.quality.masking import MASK, is_private, mask_reasons
from dataplatform.quality.results import RuleResult, Status, Verdict
from dataplatform.quality.rows import RowTest
from dataplatform.quality.scope import Scope, Tally, fetch

if TYPE_CHECKING:
    import ibis


def quarantines(contract: Contract) -> bool:
    """Whether rows that break an error rule leave for the quarantine; elsewhere they block their partition."""
    return contract.layer in {Layer.RAW, Layer.CLEANED}


def row_results(scope: Scope, table: ibis.Table, tests: Sequence[RowTest], tally: Tally) -> list[RuleResult]:
    """Every row rule in every partition. What the broken ones found costs one more pass."""
    broken = [test for test in tests if any(tally.counts[test.rule.name].values())]
    examples = (
        scope.measure(table, {test.rule.name: test.value.min(where=test.breaks) for test in broken}) if broken else {}
    )
    results = []
    for test in tests:
        rule = test.rule
        private = is_private(scope.contract, rule)
        for name, rows in tally.rows.items():
            count = tally.counts[rule.name][name]
            example = MASK if private else examples.get(name, {}).get(rule.name)
            results.append(_counted(scope.contract, rule, name, test.expected, count, rows, example))
    return results


def row_error_results(scope: Scope, table: ibis.Table, tally: Tally) -> list[RuleResult]:
    """What functions say of their rows, per code, in the partitions where a code occurs."""
    import ibis

    if not any(tally.counts.get(ROW_ERRORS, {}).values()):
        return []
    partition, entries = scope.partition_of(table), table[ROW_ERRORS]
    coded = table.select(p=partition, code=entries.map(lambda entry: entry.split(":")[0]).unique().unnest())
    spelled = table.select(p=partition, entry=entries.unnest())
    spelled = spelled.mutate(code=spelled["entry"].split(":")[0])
    counts = coded.group_by("p", "code").aggregate(rows=coded.count())
    examples = spelled.group_by("p", "code").aggregate(example=spelled["entry"].min())
    found = counts.join(examples, ["p", "code"]).select("p", "code", "rows", "example").filter(ibis._["code"].notnull())
    return [
        _counted(
            scope.contract,
            Rule(str(code), RuleKind.ROWS, "row_errors", description="said by the table's function"),
            str(name),
            f"no row that is {code}",
            count,
            tally.rows[name],
            mask_reasons(scope.contract, [str(example)])[0],
        )
        for name, code, count, example in sorted(fetch(found))
    ]


def share_results(scope: Scope, kept: Tally, tally: Tally, rejected: Mapping[str, int]) -> list[RuleResult]:
    """The share of rows that would go to quarantine, what the source rejected included, in every partition."""
    allowed = scope.contract.quarantine_share
    rule = Rule("quarantine_share", RuleKind.ROWS, "quarantine_share", arguments={"maximum": allowed})
    results = []
    for name in scope.partitions:
        rows = tally.rows[name] + rejected.get(name, 0)
        bad = rows - kept.rows[name]
        found = f"{100 * bad / rows if rows else 0:.4g}% ({bad} of {rows} rows)"
        expected = f"at most {100 * allowed:.4g}% of the rows quarantined"
        # as decimals: 29 of 100 rows are not more than 0.29 of them, which floats would say
        passed = bad <= Decimal(str(allowed)) * rows
        results.append(RuleResult(rule, name, passed, expected, found, 0 if passed else bad, rows))
    return results


def preserving_results(
    scope: Scope, tally: Tally, rejected: Mapping[str, int], inputs: Mapping[str, Mapping[str, int]]
) -> list[RuleResult]:
    """Whether the candidate has as many rows as each input that the contract says it keeps every row of."""
    results = []
    for name in scope.contract.row_preserving:
        if name not in inputs:
            raise PermanentError(f"{scope.contract.full_name}: the rows of its input {name} were not counted")
        rule = Rule(f"row_preserving:{name}", RuleKind.ROWS, "row_preserving", arguments={"input": name})
        for partition in scope.partitions:
            expected = inputs[name].get(partition, 0)
            rows = tally.rows[partition] + rejected.get(partition, 0)
            results.append(
                RuleResult(rule, partition, rows == expected, f"{expected} rows, as in {name}", f"{rows} rows", 0, rows)
            )
    return results


def failed_partitions(results: Sequence[RuleResult]) -> frozenset[str]:
    """The partitions in which some rule failed that blocks."""
    return frozenset(result.partition for result in results if result.status is Status.FAILED)


def verdicts(
    scope: Scope, results: Sequence[RuleResult], tally: Tally, kept: Tally, rejected: Mapping[str, int]
) -> dict[str, Verdict]:
    """One verdict per partition; `kept` counts the rows that would be published."""
    found = {}
    by_partition: dict[str, list[RuleResult]] = {name: [] for name in scope.partitions}
    for result in results:
        by_partition[result.partition].append(result)
    for name, of_it in by_partition.items():
        problems = tuple(str(result) for result in of_it if result.status is Status.FAILED)
        notes = tuple(str(result) for result in of_it if result.status in {Status.WARNED, Status.QUARANTINED})
        rows = tally.rows[name] + rejected.get(name, 0)
        good = 0 if problems else kept.rows[name]
        found[name] = Verdict(name, rows, good, 0 if problems else rows - good, problems, notes)
    return found


def _counted(
    contract: Contract, rule: Rule, partition: str, expected: str, count: int, rows: int, example: str | None
) -> RuleResult:
    such = f", such as {example}" if example is not None and rule.test != "required" else ""
    found = f"{count} of {rows} rows otherwise{such}" if count else f"all {rows} rows"
    quarantined = quarantines(contract) and rule.severity is Severity.ERROR
    return RuleResult(rule, partition, not count, expected, found, count, rows, quarantined)
