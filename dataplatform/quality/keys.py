"""Keys: no two published rows hold the same one. A primary key is never NULL; a NULL in a unique column is no key.

A key that contains the partition column is proven by looking at each partition by itself. Any other is compared
between the judged partitions and with the rest of the table too, within the range of the candidate's keys: one that
grows with the partition, such as a date's number × 100000000 + a line's, excludes the other files by that alone.
Between partitions the earliest good one keeps a key and later ones are reported, so that a range is judged as its
days would be one after the other; a key that moves from one partition of a range to another is no clash, because
both are replaced together. Partitions that fail keep their old rows, and these count as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataplatform.contracts.model import WHOLE, Contract, Rule, RuleKind, Severity
from dataplatform.quality.context import Rest
from dataplatform.quality.masking import MASK, is_private
from dataplatform.quality.results import RuleResult
from dataplatform.quality.rows import RowTest, values_text
from dataplatform.quality.scope import Scope, Tally, fetch

if TYPE_CHECKING:
    import ibis

HOLDER = "_holder"
"""The partition of a row that holds a key, in the tables of this module."""
_ROWS, _OUTSIDE, _FIRST, _TEXT, _TIMES = "_rows", "_outside", "_first", "_text", "_times"


@dataclass(frozen=True, slots=True)
class _Held:
    """A key, or all keys that are held alike: the rows of each partition that holds it, and where it also is outside.

    `outside` are the partitions for which somebody else outside the judged ones holds it as well.
    """

    rows: dict[str, int]
    outside: frozenset[str]
    times: int
    example: str

    def clashing_rows(self, partition: str, kept: Collection[str]) -> int:
        """How many rows of `partition` clash when the partitions in `kept` are published before it."""
        own = self.rows.get(partition, 0)
        clashes = own > 1 or partition in self.outside or any(other in kept for other in self.rows if other < partition)
        return own * self.times if clashes else 0


def key_tests(contract: Contract, table: ibis.Table) -> list[RowTest]:
    """NULLs in primary keys, as tests: they are counted in the same pass as the row rules."""
    tests = []
    for rule in contract.rules_of(RuleKind.KEYS):
        if rule.name == "primary_key":
            first, *others = [table[column].isnull() for column in rule.columns]
            for other in others:
                first = first | other
            tests.append(RowTest(rule, first, values_text(table, rule.columns), ""))
    return tests


def judge_keys(
    scope: Scope, published: ibis.Table, tally: Tally, failed: Collection[str], rest: Rest
) -> list[RuleResult]:
    """Every key rule in every partition. `failed` are the partitions that other rules keep from being published."""
    rules = scope.contract.rules_of(RuleKind.KEYS)
    good = frozenset(scope.partitions) - frozenset(failed)
    results: dict[tuple[str, str], RuleResult] = {}
    settled: set[str] = set()
    found: dict[str, list[_Held]] = {}
    while True:
        for rule in rules:
            if rule.name not in found or not is_proven(scope, rule):
                found[rule.name] = _held_keys(scope, published, rule, good, rest)
        judged, kept = _walk(scope, rules, found, tally, good)
        results |= {key: result for key, result in judged.items() if key[1] not in settled}
        # what fails keeps its old rows, which may hold keys that good partitions now bring: look again
        settled |= good - kept
        if kept == good or all(is_proven(scope, rule) for rule in rules):
            return list(results.values())
        good = kept


def is_proven(scope: Scope, rule: Rule) -> bool:
    """Whether no row outside a partition can hold a key of that partition."""
    return scope.column is None or scope.column in rule.columns


def unproven_keys(contract: Contract) -> list[Rule]:
    """The key rules that no slice proves: another partition may hold a key of it."""
    if not contract.is_partitioned:
        return []
    return [rule for rule in contract.rules_of(RuleKind.KEYS) if contract.partition_column not in rule.columns]


def judge_whole(contract: Contract, published: ibis.Table, rule: Rule) -> RuleResult:
    """One key over all published rows at once, whatever published them. A key in one partition alone counts too."""
    scope = Scope(contract, (WHOLE,))
    repeated = _repeated(published, rule)
    ((rows,),) = fetch(published.aggregate(rows=published.count()))
    hit = published.semi_join(repeated, list(rule.columns))
    days = scope.partition_of(hit)
    ((failed, example, first, last),) = fetch(
        hit.aggregate(rows=hit.count(), example=values_text(hit, rule.columns).min(), first=days.min(), last=days.max())
    )
    shown = MASK if is_private(contract, rule) else example
    found = (
        f"{failed} of {rows} rows share a key, such as {shown}, in {first} to {last}" if failed else f"all {rows} rows"
    )
    expected = f"unique {', '.join(rule.columns)} in the whole table"
    return RuleResult(rule, WHOLE, not failed, expected, found, failed, rows)


def clashing_keys(scope: Scope, published: ibis.Table, rule: Rule, good: Collection[str], rest: Rest) -> ibis.Table:
    """The keys (the rule's columns and `_holder`) whose rows clash when the `good` partitions are published."""
    columns = list(rule.columns)
    held = _holders(scope, published, rule, _outside(scope, published, rule, good, rest))
    kept = held.filter(held[HOLDER].isin(sorted(good))) if good else held.limit(0)
    first = kept.group_by(columns).aggregate(**{_FIRST: kept[HOLDER].min()})
    compared = held.left_join(first, columns, rname="{name}_first")
    clashes = (compared[_ROWS] > 1) | compared[_OUTSIDE] | (compared[_FIRST] < compared[HOLDER])
    return compared.filter(clashes).select(*columns, HOLDER)


def _walk(
    scope: Scope, rules: Sequence[Rule], found: dict[str, list[_Held]], tally: Tally, good: Collection[str]
) -> tuple[dict[tuple[str, str], RuleResult], frozenset[str]]:
    """Judges the partitions one after the other, each against the good ones before it; and which are good then."""
    results: dict[tuple[str, str], RuleResult] = {}
    kept: set[str] = set()
    for name in scope.partitions:
        judged = [_judge(scope, rule, name, found[rule.name], tally, kept) for rule in rules]
        results |= {(result.rule.name, name): result for result in judged}
        broken = any(not result.passed and result.rule.severity is Severity.ERROR for result in judged)
        if name in good and not broken:
            kept.add(name)
    return results, frozenset(kept)


def _judge(
    scope: Scope, rule: Rule, partition: str, held: Sequence[_Held], tally: Tally, kept: Collection[str]
) -> RuleResult:
    clashing = {key.example: rows for key in held if (rows := key.clashing_rows(partition, kept))}
    empty = tally.counts.get(rule.name, {}).get(partition, 0)
    failed, rows = empty + sum(clashing.values()), tally.rows[partition]
    example = "NULL" if not clashing else MASK if is_private(scope.contract, rule) else min(clashing)
    found = f"{failed} of {rows} rows share a key or have none, such as {example}" if failed else f"all {rows} rows"
    return RuleResult(rule, partition, not failed, f"unique {', '.join(rule.columns)}", found, failed, rows)


def _held_keys(scope: Scope, published: ibis.Table, rule: Rule, good: Collection[str], rest: Rest) -> list[_Held]:
    """The keys that more than one row holds. Costs one grouping by the key when there are none."""
    outside = _outside(scope, published, rule, good, rest)
    if not fetch(_repeated(published, rule).limit(1)) and (outside is None or not fetch(outside.limit(1))):
        return []
    holders = _holders(scope, published, rule, outside)
    texts = holders[HOLDER] + "|" + holders[_ROWS].cast("string") + "|" + holders[_OUTSIDE].cast("string")
    keys = holders.group_by(list(rule.columns)).aggregate(
        **{HOLDER: texts.collect().sort(), _TEXT: values_text(holders, rule.columns).min()}
    )
    alike = keys.group_by(HOLDER).aggregate(**{_TIMES: keys.count(), _TEXT: keys[_TEXT].min()})
    return [_read(*row) for row in fetch(alike.select(HOLDER, _TIMES, _TEXT))]


def _read(texts: Sequence[str], times: int, example: str) -> _Held:
    parts = [text.split("|") for text in texts]
    rows = {name: int(count) for name, count, _ in parts}
    return _Held(rows, frozenset(name for name, _, outside in parts if outside == "true"), times, example)


def _repeated(published: ibis.Table, rule: Rule) -> ibis.Table:
    """The keys that more than one row of `published` holds."""
    columns = list(rule.columns)
    filled = published.select(columns).drop_null(columns, how="any")
    counted = filled.group_by(columns).aggregate(**{_ROWS: filled.count()})
    return counted.filter(counted[_ROWS] > 1).select(columns)


def _holders(scope: Scope, published: ibis.Table, rule: Rule, outside: ibis.Table | None) -> ibis.Table:
    """Of the keys that clash somewhere: rows per partition that holds one, and whether it is held outside too."""
    import ibis

    columns = list(rule.columns)
    suspects = _repeated(published, rule)
    if outside is not None:
        suspects = suspects.union(outside.select(columns))
    named = published.select(*columns, **{HOLDER: scope.partition_of(published)})
    hit = named.semi_join(suspects, columns)
    held = hit.group_by([*columns, HOLDER]).aggregate(**{_ROWS: hit.count()})
    if outside is None:
        return held.mutate(**{_OUTSIDE: ibis.literal(value=False)})
    marked = held.left_join(outside.distinct(), [*columns, HOLDER], rname="{name}_outside")
    return marked.select(*columns, HOLDER, _ROWS, **{_OUTSIDE: marked[f"{HOLDER}_outside"].notnull()})


def _outside(scope: Scope, published: ibis.Table, rule: Rule, good: Collection[str], rest: Rest) -> ibis.Table | None:
    """The keys (and `_holder`) of `published` that rows outside the `good` partitions hold in another partition."""
    partition, columns = scope.column, list(rule.columns)
    if partition is None or partition in columns:
        return None
    others = rest([*columns, partition], sorted(good))
    if others is None:
        return None
    named = published.select(*columns, **{HOLDER: scope.partition_of(published)}).drop_null(columns, how="any")
    others = _narrowed(named, others, columns).mutate(**{HOLDER: scope.partition_of(others)})
    same = [named[column] == others[column] for column in columns]
    if len(good) < len(scope.partitions):  # else no judged partition is among them
        same.append(named[HOLDER] != others[HOLDER])
    return named.semi_join(others, same)


def _narrowed(named: ibis.Table, others: ibis.Table, columns: Sequence[str]) -> ibis.Table:
    """`others` between the smallest and the largest key of `named`, so that files outside need not be read."""
    import ibis

    ends = [end for column in columns for end in (named[column].min(), named[column].max())]
    found = fetch(named.aggregate(**{f"end{n}": end for n, end in enumerate(ends)}))[0]
    for column, low, high in zip(columns, found[::2], found[1::2], strict=True):
        if low is None:
            return others.limit(0)
        kind = others[column].type()
        others = others.filter(others[column].between(ibis.literal(low, type=kind), ibis.literal(high, type=kind)))
    return others
