"""What an audit lets out, puts aside and keeps as evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from dataplatform.contracts.model import WHOLE, Grain, Layer, RuleKind
from dataplatform.errors import PermanentError, ShapeError
from dataplatform.quality.audit import audit
from dataplatform.quality.evidence import EVIDENCE_ROWS
from dataplatform.quality.history import quarantine_schema, quarantine_to_arrow
from dataplatform.quality.results import Status, Verdict
from dataplatform_tests.component.quality.bench import D1, D2, D3, Bench, result_of, results_of, rows_of, rule, sales

POSITIVE = rule("quantity:minimum", "minimum", "quantity", value=0)
NAMED = rule("code:required", "required", "code")
GOOD = {"day": D1, "id": 1, "quantity": 1, "code": "a"}
BAD = {"day": D1, "id": 2, "quantity": -1, "code": "a"}
WORSE = {"day": D1, "id": 3, "quantity": -2, "code": None}
CLEANED = sales(POSITIVE, NAMED, layer=Layer.CLEANED)
FACT = sales(POSITIVE, NAMED, layer=Layer.DIMENSIONAL)


def test_a_candidate_without_fault_is_itself_what_is_published() -> None:
    bench = Bench()
    staged = bench.stage(CLEANED, [GOOD])

    judged = audit(CLEANED, staged, (D1,), bench.context(CLEANED))

    assert judged.good is staged
    assert (judged.quarantined, judged.blocked) == (None, None)
    assert judged.verdicts == {D1: Verdict(D1, 1, 1, 0)}


@pytest.mark.parametrize("layer", [Layer.RAW, Layer.CLEANED])
def test_bad_rows_of_raw_and_cleaned_leave_with_every_reason(layer: Layer) -> None:
    """Pain 8: bad rows are kept aside before anything is published."""
    judged = Bench().audit(replace(CLEANED, layer=layer), [GOOD, BAD, WORSE])

    assert [row["id"] for row in rows_of(judged.good)] == [1]
    assert {row["id"]: row["_reasons"] for row in rows_of(judged.quarantined)} == {
        2: ["quantity:minimum: -1"],
        3: ["quantity:minimum: -2", "code:required: NULL"],
    }
    assert judged.blocked is None
    assert result_of(judged, "quantity:minimum").status is Status.QUARANTINED
    verdict = judged.verdicts[D1]
    assert (verdict.candidate_rows, verdict.published_rows, verdict.quarantined_rows) == (3, 1, 2)
    assert verdict.problems == ()
    assert [line.partition(":")[0] for line in verdict.warnings] == ["quantity", "code"]


@pytest.mark.parametrize("layer", [Layer.DIMENSIONAL, Layer.AGGREGATE])
def test_a_bad_row_elsewhere_blocks_its_day_and_no_other(layer: Layer) -> None:
    judged = Bench().audit(replace(FACT, layer=layer), [GOOD, BAD, {**GOOD, "day": D2}], (D1, D2))

    assert (judged.passed, judged.failed) == ((D2,), (D1,))
    assert [row["day"] for row in rows_of(judged.good)] == [date(2011, 1, 2)]
    assert judged.quarantined is None
    assert [row["_reasons"] for row in rows_of(judged.blocked)] == [["quantity:minimum: -1"]]
    assert judged.verdicts[D1] == Verdict(
        D1, 2, 0, 0, ("quantity:minimum: expected quantity >= 0, found 1 of 2 rows otherwise, such as -1",)
    )
    assert "quarantine_share" not in {result.rule.name for result in judged.results}


@pytest.mark.parametrize(("share", "passes"), [(0.29, True), (0.28, False)])
def test_more_bad_rows_than_the_share_fail_their_day(share: float, passes: bool) -> None:
    """Pain 9: some bad rows are a warning, too many an error."""
    staged = [BAD] * 29 + [GOOD] * 71 + [{**GOOD, "day": D2}]

    judged = Bench().audit(replace(CLEANED, quarantine_share=share), staged, (D1, D2))

    found = result_of(judged, "quarantine_share")
    assert (found.passed, found.found) == (passes, "29% (29 of 100 rows)")
    assert judged.passed == ((D1, D2) if passes else (D2,))
    assert len(rows_of(judged.quarantined)) == (29 if passes else 0)
    assert len(rows_of(judged.blocked)) == (0 if passes else 29)
    if not passes:
        assert judged.verdicts[D1].problems == (
            "quarantine_share: expected at most 28% of the rows quarantined, found 29% (29 of 100 rows)",
        )
        assert judged.verdicts[D1].quarantined_rows == 0


def test_rows_that_the_source_rejected_count_as_quarantined() -> None:
    judged = Bench(rejected={D1: 3}).audit(replace(CLEANED, quarantine_share=0.5), [GOOD, GOOD])

    assert result_of(judged, "quarantine_share").found == "60% (3 of 5 rows)"
    assert judged.failed == (D1,)


def test_a_broken_warning_quarantines_nothing() -> None:
    warning = rule("quantity:minimum", "minimum", "quantity", value=0, warning=True)

    judged = Bench().audit(replace(CLEANED, rules=(warning, NAMED)), [GOOD, BAD, WORSE])

    assert [row["_reasons"] for row in rows_of(judged.quarantined)] == [["code:required: NULL"]]
    assert [row["id"] for row in rows_of(judged.good)] == [1, 2]


def test_a_day_without_rows_is_judged_and_published_empty() -> None:
    judged = Bench().audit(CLEANED, [], (D1, D2))

    assert judged.passed == (D1, D2)
    assert judged.verdicts[D2] == Verdict(D2, 0, 0, 0)
    assert results_of(judged, "quantity:minimum").keys() == {D1, D2}
    assert rows_of(judged.good) == []


def test_every_rule_is_reported_for_every_partition() -> None:
    """Pain 7: a check of a range has a verdict for each of its days."""
    preserving = replace(CLEANED, row_preserving=("lines",))

    judged = Bench(input_rows={"lines": {D1: 1}}).audit(preserving, [GOOD], (D1, D2))

    names = {"quantity:minimum", "code:required", "quarantine_share", "row_preserving:lines"}
    assert {(result.rule.name, result.partition) for result in judged.results} == {
        (name, day) for name in names for day in (D1, D2)
    }


def test_published_and_quarantined_rows_are_the_rows_of_the_input() -> None:
    preserving = replace(CLEANED, row_preserving=("lines",))
    bench = Bench(input_rows={"lines": {D1: 2, D2: 3}})

    judged = bench.audit(preserving, [GOOD, BAD, {**GOOD, "day": D2}], (D1, D2, D3))

    assert [result.passed for result in results_of(judged, "row_preserving:lines").values()] == [True, False, True]
    assert judged.verdicts[D2].problems == ("row_preserving:lines: expected 3 rows, as in lines, found 1 rows",)
    assert {result.rule.kind for result in results_of(judged, "row_preserving:lines").values()} == {RuleKind.ROWS}


def test_an_input_that_was_not_counted_is_named() -> None:
    with pytest.raises(PermanentError, match=r"aggregate\.sales: the rows of its input lines were not counted"):
        Bench().audit(sales(row_preserving=("lines",)), [GOOD])


@pytest.mark.parametrize(("outside", "named"), [({**GOOD, "day": D3}, D3), ({**GOOD, "day": None}, "None")])
def test_a_row_outside_the_slice_is_an_error_that_names_it(outside: dict[str, object], named: str) -> None:
    message = rf"aggregate\.sales {D1} to {D2}: rows outside the slice \(day\): 1 rows of {named}"
    with pytest.raises(ShapeError, match=message):
        Bench().audit(sales(), [GOOD, outside], (D1, D2))


def test_at_most_ten_thousand_rows_of_a_day_are_kept_and_always_the_same() -> None:
    staged = [{**BAD, "id": number} for number in range(EVIDENCE_ROWS + 5, 0, -1)] + [{**BAD, "day": D2}]

    judged = Bench().audit(FACT, staged, (D1, D2))

    kept = rows_of(judged.blocked)
    assert sorted(row["id"] for row in kept if str(row["day"]) == D1) == list(range(1, EVIDENCE_ROWS + 1))
    assert sum(str(row["day"]) == D2 for row in kept) == 1


def test_a_rule_about_the_whole_day_leaves_no_rows_as_evidence() -> None:
    counted = rule("rows", "rowCount", kind=RuleKind.TABLE, mustBe=5)

    assert Bench().audit(sales(counted), [GOOD]).blocked is None


def test_rows_counted_by_a_metric_are_evidence_only_on_the_days_it_fails() -> None:
    few = rule("few", "nullValues", "code", kind=RuleKind.TABLE, mustBeLessThan=2)
    staged = [WORSE, {**WORSE, "id": 4}, {**WORSE, "day": D2}, {**BAD, "day": D2}]

    judged = Bench().audit(sales(few), staged, (D1, D2))

    assert {row["id"]: row["_reasons"] for row in rows_of(judged.blocked)} == {3: ["few: NULL"], 4: ["few: NULL"]}


def test_a_table_without_partitions_is_one_slice() -> None:
    whole = replace(CLEANED, grain=Grain.NONE, partition_column=None)

    judged = Bench().audit(whole, [GOOD, BAD], (WHOLE,))

    assert judged.verdicts[WHOLE].quarantined_rows == 1
    assert [row["id"] for row in rows_of(judged.good)] == [1]
    blocked = Bench().audit(replace(whole, layer=Layer.AGGREGATE), [GOOD, BAD], (WHOLE,))
    assert (blocked.failed, rows_of(blocked.good)) == ((WHOLE,), [])


def test_a_month_is_named_by_its_first_day() -> None:
    monthly = replace(CLEANED, grain=Grain.MONTH)

    assert Bench().audit(monthly, [{**GOOD, "day": "2011-02-01"}], ("2011-02-01",)).passed == ("2011-02-01",)


def test_quarantined_and_blocked_rows_are_kept_whole_with_slice_run_and_time() -> None:
    noon = datetime(2011, 1, 5, 12, tzinfo=UTC)
    limited = replace(CLEANED, quarantine_share=0.5)
    judged = Bench().audit(limited, [GOOD, BAD, {**WORSE, "day": D2}], (D1, D2))

    kept = quarantine_to_arrow(judged, limited, run_id="r1", at=noon)

    assert kept is not None
    assert kept.schema == quarantine_schema(limited)
    assert [
        (row["id"], row["_status"], row["_partition"], row["_run_id"], row["_quarantined_at"])
        for row in kept.to_pylist()
    ] == [(2, "quarantined", D1, "r1", noon), (3, "blocked", D2, "r1", noon)]


def test_nothing_is_kept_of_a_good_candidate() -> None:
    judged = Bench().audit(CLEANED, [GOOD])

    assert quarantine_to_arrow(judged, CLEANED, run_id="r1", at=datetime(2011, 1, 5, tzinfo=UTC)) is None


def test_private_values_are_masked_in_what_was_found_and_whole_in_the_quarantine() -> None:
    columns = tuple(
        replace(c, classification="confidential") if c.name in {"quantity", "code"} else c for c in CLEANED.columns
    )
    private = replace(CLEANED, columns=columns)

    judged = Bench().audit(private, [GOOD, {**BAD, "_row_errors": ["odd:code='a'"]}])

    assert judged.verdicts[D1].warnings == (
        "quantity:minimum: expected quantity >= 0, found 1 of 2 rows otherwise, such as ***",
        "odd: expected no row that is odd, found 1 of 2 rows otherwise, such as odd:code=***",
    )
    assert [row["_reasons"] for row in rows_of(judged.quarantined)] == [["quantity:minimum: -1", "odd:code='a'"]]
