"""Law: a range is judged by the day. A range equals as many single-day runs, in table, quarantine and status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplatform.contracts.model import Contract, Layer, RuleKind
from dataplatform.quality.audit import Audit
from dataplatform.quality.results import RuleResult, Verdict
from dataplatform_tests.component.quality.bench import D1, D2, D3, Bench, rows_of, rule, sales

DAYS = (D1, D2, D3)
RULES = (
    rule("quantity:minimum", "minimum", "quantity", value=0),
    rule("code:required", "required", "code", warning=True),
    rule("primary_key", "unique", "id", kind=RuleKind.KEYS),
    rule("code:relationship", "relationship", "code", kind=RuleKind.RELATIONSHIPS, table="codes", column="code"),
    rule("rows", "rowCount", kind=RuleKind.TABLE, mustBeLessThan=4),
    rule("total", "sql", kind=RuleKind.TABLE, query="SELECT sum(quantity) FROM ${object}", mustBeLessThan=5),
)
CODES = {"codes": [{"code": "a"}, {"code": "b"}]}
BENCH = Bench(others=CODES)

_row = st.fixed_dictionaries(
    {
        "id": st.integers(1, 6),
        "quantity": st.sampled_from([0, 1, 1, 2, -1]),
        "code": st.sampled_from(["a", "b", "a", "b", None, "x"]),
        "_row_errors": st.sampled_from([[], [], [], ["odd:x"]]),
    }
)
_days = st.fixed_dictionaries({day: st.lists(_row, max_size=4) for day in DAYS})


@dataclass
class Lake:
    """What a run leaves behind, in memory."""

    published: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kept: list[dict[str, Any]] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    results: list[RuleResult] = field(default_factory=list)

    def run(self, of: Contract, days: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        BENCH.published = [row for rows in self.published.values() for row in rows]
        judged = BENCH.audit(of, [{**row, "day": day} for day, rows in days.items() for row in rows], tuple(days))
        self._publish(judged)
        self.kept += rows_of(judged.quarantined) + rows_of(judged.blocked)
        self.verdicts |= judged.verdicts
        self.results += judged.results

    def _publish(self, judged: Audit) -> None:
        good = [{**row, "day": str(row["day"])} for row in rows_of(judged.good)]
        for day in judged.passed:
            self.published[day] = [row for row in good if row["day"] == day]

    def compared(self) -> list[Any]:
        return [
            {day: sorted(map(str, rows)) for day, rows in self.published.items()},
            sorted(map(str, self.kept)),
            dict(sorted(self.verdicts.items())),
            sorted((result.rule.name, result.partition, *_said(result)) for result in self.results),
        ]


def _said(result: RuleResult) -> tuple[Any, ...]:
    return (result.status, result.expected, result.found, result.failed_rows, result.checked_rows)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(days=_days, layer=st.sampled_from([Layer.CLEANED, Layer.DIMENSIONAL]), share=st.sampled_from([0.3, 1.0]))
def test_a_range_equals_as_many_single_day_runs(
    days: dict[str, list[dict[str, Any]]], layer: Layer, share: float
) -> None:
    of = sales(*RULES, layer=layer, quarantine_share=share)
    at_once, one_by_one = Lake(), Lake()

    at_once.run(of, days)
    for day in DAYS:
        one_by_one.run(of, {day: days[day]})

    assert at_once.compared() == one_by_one.compared()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=_days, after=_days)
def test_a_key_is_unique_in_the_table_whatever_is_published_again(
    before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]
) -> None:
    of = sales(*RULES, layer=Layer.CLEANED)
    lake = Lake()

    lake.run(of, before)
    lake.run(of, {day: after[day] for day in (D1, D3)})

    ids = [row["id"] for rows in lake.published.values() for row in rows]
    assert len(ids) == len(set(ids))


def test_a_bad_day_leaves_the_days_around_it_alone() -> None:
    good = {"id": 1, "quantity": 1, "code": "a"}
    days = {D1: [good], D2: [{**good, "id": 2, "code": "x"}], D3: [{**good, "id": 3}]}
    lake = Lake({day: [{**good, "id": 9, "day": day}] for day in (D2,)})

    lake.run(sales(*RULES), days)

    assert {day: [row["id"] for row in rows] for day, rows in lake.published.items()} == {D1: [1], D2: [9], D3: [3]}
    assert [day for day, verdict in lake.verdicts.items() if verdict.problems] == [D2]
