"""Profiles: what is measured of each partition's rows for the anomaly rules, and kept for the partitions after it.

One pass over the rows, and one more per column of which each value is counted. Nothing is judged or stored here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from dataplatform.contracts.anomaly_rules import DISTINCT, MEAN, NULLS, VALUES
from dataplatform.contracts.model import Contract, Rule, RuleKind
from dataplatform.quality.scope import Scope, fetch

if TYPE_CHECKING:
    import ibis
    import pyarrow as pa

ROWS = "rows"
SHARES = {0.25: "p25", 0.5: "p50", 0.75: "p75"}
MOST_VALUES = 100
"""Of a column with more values, the most frequent ones of a partition are kept."""


class Series(NamedTuple):
    """One thing that is measured of each partition: of a column ("" is the table), and perhaps of one of its values."""

    column: str
    statistic: str
    value: str = ""


Profile = Mapping[Series, float]
"""What was measured of one partition; what cannot be measured, such as the mean of nothing, is not in it."""
Profiles = Mapping[str, Profile]
"""Partition -> profile. Partitions without rows have none."""


def measure_profiles(scope: Scope, published: ibis.Table) -> dict[str, dict[Series, float]]:
    """The profile of every partition that has rows, as far as the contract's anomaly rules need it."""
    rules = scope.contract.rules_of(RuleKind.ANOMALIES)
    if not rules:
        return {}
    measured = [(rule, _measured(published, rule)) for rule in rules]
    named = {f"{rule.name}#{n}": each for rule, of_it in measured for n, each in enumerate(of_it)}
    found: dict[str, dict[Series, float]] = {}
    for partition, values in scope.measure(published, {ROWS: published.count(), **named}).items():
        rows, told = values[ROWS], iter(list(values.values())[1:])
        if rows:
            found[partition] = {Series("", ROWS): float(rows)}
            for rule, of_it in measured:
                found[partition] |= _series(rule, rows, [next(told) for _ in of_it])
    for rule in rules:
        if rule.test == VALUES:
            _count_values(scope, published, rule.columns[0], found)
    return found


def _measured(table: ibis.Table, rule: Rule) -> list[Any]:
    if not rule.columns or rule.test == VALUES:
        return []
    column: Any = table[rule.columns[0]]
    if rule.test == NULLS:
        return [column.count()]
    if rule.test == DISTINCT:
        return [column.count(), column.approx_nunique()]
    return [column.mean()] if rule.test == MEAN else [column.quantile(list(SHARES))]


def _series(rule: Rule, rows: int, told: Sequence[Any]) -> dict[Series, float]:
    """What the values of one rule's expressions say, in one partition."""
    if not told:
        return {}
    column = rule.columns[0]
    if rule.test == NULLS:
        return {Series(column, "null_share"): 1 - told[0] / rows}
    if rule.test == DISTINCT:
        # an estimate may exceed what there is
        return {Series(column, "distinct_share"): min(1.0, told[1] / told[0])} if told[0] else {}
    named = {"mean": told[0]} if rule.test == MEAN else dict(zip(SHARES.values(), told[0] or (), strict=False))
    return {Series(column, name): float(value) for name, value in named.items() if value is not None}


def _count_values(scope: Scope, table: ibis.Table, column: str, found: dict[str, dict[Series, float]]) -> None:
    filled = table.filter(table[column].notnull())
    counted = filled.group_by(p=scope.partition_of(filled), v=filled[column].cast("string")).aggregate(n=filled.count())
    for partition, value, count in sorted(fetch(counted), key=lambda row: (row[0], -row[2], row[1])):
        profile = found[str(partition)]
        if sum(series.column == column and bool(series.value) for series in profile) < MOST_VALUES:
            profile[Series(column, "share", str(value))] = count / profile[Series("", ROWS)]


def profiles_to_arrow(
    profiles: Profiles, revisions: Mapping[str, str], *, contract: Contract, run_id: str, at: datetime
) -> pa.Table:
    """One row per partition and series, for `quality.column_profiles`: of the partitions in `revisions`. `at` is aware.

    The revision says which rows a profile is of: when a partition is published otherwise, another profile holds.
    """
    import pyarrow as pa

    kept = {partition: profile for partition, profile in profiles.items() if partition in revisions}
    flat = [(partition, series, value) for partition, profile in kept.items() for series, value in profile.items()]
    rows = len(flat)
    columns: list[list[Any]] = [
        [at.astimezone(UTC)] * rows,
        [run_id] * rows,
        [contract.layer.value] * rows,
        [contract.name] * rows,
        [partition for partition, _, _ in flat],
        [revisions[partition] for partition, _, _ in flat],
        [series.column or None for _, series, _ in flat],
        [series.statistic for _, series, _ in flat],
        [series.value or None for _, series, _ in flat],
        [value for _, _, value in flat],
    ]
    schema = profiles_schema()
    arrays: list[Any] = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def profiles_schema() -> pa.Schema:
    """The columns of `quality.column_profiles`."""
    import pyarrow as pa

    texts = ("run_id", "layer", "table_name", "partition", "revision", "column_name", "statistic", "value")
    kinds: dict[str, pa.DataType] = {"profiled_at": pa.timestamp("us", tz="UTC"), **dict.fromkeys(texts, pa.string())}
    return pa.schema(kinds | {"measured": pa.float64()})


def profiles_of(rows: pa.Table | None, revisions: Mapping[str, str]) -> dict[str, dict[Series, float]]:
    """The profiles in rows of `quality.column_profiles`, of the rows that `revisions` says are published now."""
    found: dict[str, dict[Series, float]] = {}
    if rows is None:
        return found
    names = ("partition", "revision", "column_name", "statistic", "value", "measured")
    for partition, revision, column, statistic, value, measured in zip(
        *(rows[name].to_pylist() for name in names), strict=True
    ):
        if revisions.get(partition) == revision:
            found.setdefault(partition, {})[Series(column or "", statistic, value or "")] = measured
    return found
