"""Table rules whose value is computed per partition: ODCS's library metrics, and aggregate SQL queries.

`nullValues`, `missingValues` (NULL, or in `arguments.missingValues`) and `invalidValues` (not NULL, and not in
`arguments.validValues` or not matching `arguments.pattern`) count rows; `duplicateValues` counts the rows beyond
the first of each value (of one column, or of `arguments.properties`); `rowCount` counts all rows. With
`unit: percent` the value is the share of the partition's rows, NULL where it has none. A query's value in a
partition without rows is its value on nothing: 0 for a count, NULL for a sum. NULL passes, see `bounds.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.model import Contract, Rule, RuleKind
from dataplatform.quality.bounds import Bound
from dataplatform.quality.masking import MASK
from dataplatform.quality.results import RuleResult
from dataplatform.quality.rows import RowTest, typed_literal, values_text
from dataplatform.quality.scope import Scope, Tally, fetch_sql
from dataplatform.quality.sqltext import OBJECT, query, shows_private_value

if TYPE_CHECKING:
    import ibis

_OF_ROWS: Collection[str] = {"nullValues", "missingValues", "invalidValues"}


def metric_tests(contract: Contract, table: ibis.Table) -> list[RowTest]:
    """The library metrics that count single rows, as tests: they are counted in the same pass as the row rules."""
    rules = [rule for rule in contract.rules_of(RuleKind.TABLE) if rule.test in _OF_ROWS]
    return [RowTest(rule, _counted(table, rule), values_text(table, rule.columns), "") for rule in rules]


def judge_table(scope: Scope, published: ibis.Table, tally: Tally) -> list[RuleResult]:
    """Every library metric and SQL rule, in every partition. `tally` counted `metric_tests` over `published`."""
    results = []
    for rule in scope.contract.rules_of(RuleKind.TABLE):
        bound = Bound.of(rule)
        if rule.test == "sql":
            values = _query_values(scope, published, rule)
            hide = shows_private_value(scope.contract, rule)
            results += [_judged(rule, bound, name, values[name], rows, hide=hide) for name, rows in tally.rows.items()]
        else:
            results += _judge_metric(scope, published, rule, bound, tally)
    return results


def _judge_metric(scope: Scope, published: ibis.Table, rule: Rule, bound: Bound, tally: Tally) -> list[RuleResult]:
    if rule.test == "rowCount":
        return [_judged(rule, bound, name, rows, rows) for name, rows in tally.rows.items()]
    counts = tally.counts[rule.name] if rule.test in _OF_ROWS else _duplicates(scope, published, rule)
    values: Mapping[str, Any] = counts
    if _is_share(rule):
        values = {name: 100 * counts[name] / rows if rows else None for name, rows in tally.rows.items()}
    return [_judged(rule, bound, name, values[name], rows, broken=counts[name]) for name, rows in tally.rows.items()]


def _judged(
    rule: Rule, bound: Bound, partition: str, value: Any, rows: int, *, broken: int = 0, hide: bool = False
) -> RuleResult:
    subject = (
        "value" if rule.test == "sql" else f"{rule.test}{' of ' + ', '.join(rule.columns) if rule.columns else ''}"
    )
    unit = "%" if _is_share(rule) else ""
    found = "NULL (nothing to judge)" if value is None else f"{MASK if hide else _shown(value)}{unit}"
    passed = bound.holds(value)
    return RuleResult(rule, partition, passed, f"{subject} {bound}{unit}", found, 0 if passed else broken, rows)


def _is_share(rule: Rule) -> bool:
    return rule.arguments.get("unit") == "percent"


def _query_values(scope: Scope, published: ibis.Table, rule: Rule) -> dict[str, Any]:
    """The query's value in each partition: one query for all, and one on nothing when a partition gave no group."""
    backend: Any = published.get_backend()

    def values(rows: ibis.Table, column: str | None) -> list[tuple[Any, ...]]:
        return fetch_sql(backend, f"WITH {OBJECT} AS ({backend.compile(rows)}) {query(rule, column, backend.dialect)}")

    try:
        if scope.column is None:
            return {name: values(published, None)[0][0] for name in scope.partitions}
        found = {str(partition): value for partition, value in values(published, scope.column)}
        silent = [name for name in scope.partitions if name not in found]
        return found | (dict.fromkeys(silent, values(published.limit(0), None)[0][0]) if silent else {})
    except Exception as error:
        error.add_note(f"while judging rule {rule.name} of {scope.contract.full_name}: {rule.arguments['query']}")
        raise


def _duplicates(scope: Scope, published: ibis.Table, rule: Rule) -> dict[str, int]:
    import ibis

    columns = list(rule.columns)
    filled = published.drop_null(columns, how="any")
    by = list(dict.fromkeys([*columns, *([scope.column] if scope.column else [])]))
    groups = filled.group_by(by).aggregate(_rows=ibis._.count()).filter(ibis._["_rows"] > 1)
    measured = scope.measure(groups, {"surplus": groups["_rows"].sum() - groups.count()})
    return {name: int(measured.get(name, {}).get("surplus") or 0) for name in scope.partitions}


def _counted(table: ibis.Table, rule: Rule) -> Any:
    import ibis

    column: Any = table[rule.columns[0]]
    arguments = rule.arguments.get("arguments") or {}
    if rule.test == "nullValues":
        return column.isnull()
    if rule.test == "missingValues":
        words = [str(word) for word in arguments["missingValues"] if word is not None]
        return column.isnull() | column.cast("string").isin(words)
    broken: Any = ibis.literal(value=False)
    if "validValues" in arguments:
        broken = broken | column.notin([typed_literal(value, column) for value in arguments["validValues"]])
    if "pattern" in arguments:
        broken = broken | ~column.re_search(str(arguments["pattern"]))
    return broken


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
