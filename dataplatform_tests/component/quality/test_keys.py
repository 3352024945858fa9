"""Keys inside a partition, between partitions and against the rest of the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dataplatform.contracts.model import WHOLE, Contract, Grain, Layer, Rule, RuleKind
from dataplatform.quality.results import Status
from dataplatform_tests.component.quality.bench import D1, D2, D3, Bench, Rows, result_of, rows_of, rule, sales


def key(*columns: str, name: str = "primary_key", warning: bool = False) -> Rule:
    return rule(name, "unique", *columns, kind=RuleKind.KEYS, warning=warning)


def rows(**ids: list[int | None]) -> Rows:
    """Rows of days `d1`, `d2`, `d3` with these ids."""
    return [{"day": f"2011-01-0{day[1]}", "id": number} for day, numbers in ids.items() for number in numbers]


ID = sales(key("id"))
ROWS_RULE = rule("rows", "rowCount", kind=RuleKind.TABLE, mustBeLessThan=3)


def test_distinct_keys_pass() -> None:
    judged = Bench().audit(ID, rows(d1=[1, 2], d2=[3]), (D1, D2))

    assert judged.passed == (D1, D2)
    assert (result_of(judged, "primary_key").expected, result_of(judged, "primary_key").found) == (
        "unique id",
        "all 2 rows",
    )


def test_a_repeated_key_fails_the_partition_that_repeats_it_and_no_other() -> None:
    judged = Bench().audit(ID, rows(d1=[1, 1, 2], d2=[3]), (D1, D2))

    assert judged.verdicts[D1].problems == (
        "primary_key: expected unique id, found 2 of 3 rows share a key or have none, such as 1",
    )
    assert judged.passed == (D2,)
    assert [(row["id"], row["_reasons"]) for row in rows_of(judged.blocked)] == [(1, ["primary_key: 1"])] * 2


def test_a_repeated_key_of_a_warning_is_published() -> None:
    judged = Bench().audit(sales(key("id", name="id:unique", warning=True)), rows(d1=[1, 1], d2=[1]), (D1, D2))

    assert [result_of(judged, "id:unique", day).status for day in (D1, D2)] == [Status.WARNED, Status.WARNED]
    assert len(rows_of(judged.good)) == 3


def test_a_key_of_several_columns_is_one_key() -> None:
    judged = Bench().audit(
        sales(key("id", "code")),
        [{"day": D1, "id": 1, "code": "a"}, {"day": D1, "id": 1, "code": "b"}, {"day": D1, "id": 1, "code": "b"}],
    )

    assert result_of(judged, "primary_key").found == "2 of 3 rows share a key or have none, such as id=1, code=b"


def test_null_is_never_a_primary_key_and_no_unique_value() -> None:
    judged = Bench().audit(sales(key("id"), key("id", name="id:unique")), rows(d1=[None, None, 1]))

    assert result_of(judged, "primary_key").found == "2 of 3 rows share a key or have none, such as NULL"
    assert result_of(judged, "id:unique").passed
    assert [row["_reasons"] for row in rows_of(judged.blocked)] == [["primary_key: NULL"]] * 2


def test_a_key_with_the_partition_column_may_return_on_another_day() -> None:
    bench = Bench(published=rows(d3=[1]))

    judged = bench.audit(sales(key("day", "id")), rows(d1=[1], d2=[1]), (D1, D2))

    assert judged.passed == (D1, D2)
    assert bench.asked == []


def test_the_first_day_keeps_a_key_and_later_days_are_reported() -> None:
    judged = Bench().audit(ID, rows(d1=[1], d2=[1, 2], d3=[2, 3]), (D1, D2, D3))

    assert judged.failed == (D2,)
    assert result_of(judged, "primary_key", D2).failed_rows == 1
    assert result_of(judged, "primary_key", D3).passed, "what the failed day holds is not published"
    assert [(row["id"], row["_reasons"]) for row in rows_of(judged.blocked)] == [(1, ["primary_key: 1"])]


def test_a_day_that_fails_for_another_reason_keeps_no_key() -> None:
    judged = Bench().audit(replace(ID, rules=(*ID.rules, ROWS_RULE)), rows(d1=[1, 2, 3], d2=[1]), (D1, D2))

    assert judged.passed == (D2,)


def test_a_key_of_the_rest_of_the_table_is_taken() -> None:
    """Pain 4: a key that stands in another slice is refused, where a merge would update it."""
    bench = Bench(published=rows(d1=[1], d3=[3]))

    judged = bench.audit(ID, rows(d1=[1], d2=[2, 3]), (D1, D2))

    assert judged.failed == (D2,)
    assert result_of(judged, "primary_key", D2).found == "1 of 2 rows share a key or have none, such as 3"
    assert [row["id"] for row in rows_of(judged.blocked)] == [3]


def test_the_old_rows_of_a_replaced_day_hold_no_key() -> None:
    bench = Bench(published=rows(d1=[1, 2], d2=[3]))

    judged = bench.audit(ID, rows(d1=[3], d2=[1, 2]), (D1, D2))

    assert judged.passed == (D1, D2)
    assert bench.asked == [(D1, D2)]


def test_the_old_rows_of_a_failed_day_hold_their_keys() -> None:
    bench = Bench(published=rows(d2=[1]))

    judged = bench.audit(ID, rows(d1=[1], d2=[2, 2]), (D1, D2))

    assert judged.failed == (D1, D2)
    assert result_of(judged, "primary_key", D1).failed_rows == 1
    assert {(row["id"], str(row["day"])) for row in rows_of(judged.blocked)} == {(1, D1), (2, D2)}


def test_a_day_that_failed_stays_failed_when_the_day_it_clashed_with_fails_too() -> None:
    bench = Bench(published=rows(d2=[5]))

    judged = bench.audit(ID, rows(d1=[5, 1], d2=[1], d3=[1]), (D1, D2, D3))

    assert judged.failed == (D1, D2, D3)
    assert all(verdict.problems[0].startswith("primary_key") for verdict in judged.verdicts.values())


def test_a_failed_day_does_not_clash_with_its_own_old_rows() -> None:
    bench = Bench(published=rows(d1=[1, 2]))

    judged = bench.audit(replace(ID, rules=(*ID.rules, ROWS_RULE)), rows(d1=[1, 2, 4]), (D1,))

    assert judged.failed == (D1,)
    assert result_of(judged, "primary_key").passed
    assert judged.blocked is None


def test_keys_of_quarantined_rows_do_not_count() -> None:
    cleaned = replace(ID, layer=Layer.CLEANED, rules=(*ID.rules, rule("quantity:required", "required", "quantity")))
    staged = [{"day": D1, "id": 1, "quantity": 5}, {"day": D1, "id": 1}, {"day": D2, "id": 1, "quantity": 5}]

    judged = Bench().audit(cleaned, staged, (D1, D2))

    assert judged.passed == (D1,)
    assert [(str(row["day"]), row["_reasons"]) for row in rows_of(judged.quarantined)] == [
        (D1, ["quantity:required: NULL"])
    ]


def test_a_quarantined_row_is_no_evidence_for_a_key() -> None:
    cleaned = replace(ID, layer=Layer.CLEANED, rules=(*ID.rules, rule("quantity:required", "required", "quantity")))
    twice = {"day": D1, "id": 1, "quantity": 5}

    judged = Bench().audit(cleaned, [twice, twice, {"day": D1, "id": 1}])

    assert sorted(row["_reasons"] for row in rows_of(judged.blocked)) == [
        ["primary_key: 1"],
        ["primary_key: 1"],
        ["quantity:required: NULL"],
    ]


@pytest.mark.parametrize("columns", [("id",), ("day", "id")])
def test_a_table_without_partitions_is_compared_with_itself_alone(columns: tuple[str, ...]) -> None:
    whole: Contract = sales(key(*columns), grain=Grain.NONE, partition_column=None)
    bench = Bench(published=rows(d1=[1]))

    assert bench.audit(whole, rows(d1=[1], d2=[2]), (WHOLE,)).passed == (WHOLE,)
    assert bench.audit(whole, rows(d1=[1, 1]), (WHOLE,)).failed == (WHOLE,)
    assert bench.asked == []


def test_a_key_of_any_type_is_found_in_the_rest_of_the_table() -> None:
    held = {"day": D3, "amount": Decimal("0.005"), "code": "é", "at": datetime(2011, 1, 1, 0, 0, 0, 1, tzinfo=UTC)}

    judged = Bench(published=[held]).audit(sales(key("amount", "code", "at")), [{**held, "day": D1}])

    assert judged.failed == (D1,)


def test_a_key_that_is_private_is_masked() -> None:
    columns = tuple(replace(c, classification="confidential") if c.name == "id" else c for c in ID.columns)

    judged = Bench().audit(replace(ID, columns=columns), rows(d1=[7, 7]))

    assert judged.verdicts[D1].problems[0].endswith("such as ***")
