"""A table's step in Dagster: what it reports when all, some or none of its days can be published."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.assets import slices
from dataplatform.assets.definition import CODE_VERSION_TAG, DATA_VERSION_TAG, REBUILD_TAG, asset_key
from dataplatform.project import Project
from dataplatform_tests.in_dagster import checks, drop, failure, materialize, materialized
from dataplatform_tests.shop import deliver, load, reload, rows, shop_tables

D1, D2, D3 = "2011-01-01", "2011-01-02", "2011-01-03"
ALL = "raw_shop_orders orders dim_buyer fact_orders daily_orders"
ADVICE = "see `dataplatform check orders` and `dataplatform quarantine show orders`"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shop_tables(tmp_path)
    return load(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def skipped(result: dg.ExecuteInProcessResult) -> set[str]:
    """Tables whose step never started."""
    begun = {str(event.step_key).partition("__")[2] for event in result.all_events if event.is_step_start}
    return set(ALL.split()) - begun


def test_a_range_reports_the_rows_and_the_revision_of_each_day(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1.5", "2,8,FR,2")
    drop(shop, D2, "3,7,UK,1", "4,7,UK,-1")
    result = materialize(shop, instance, ALL, (D1, D2))
    assert result.success
    orders = materialized(result, instance, "orders")
    assert {day: found["dagster/partition_row_count"] for day, found in orders.items()} == {D1: 2, D2: 1}
    assert "quarantined_rows" not in orders[D1]
    assert orders[D2]["quarantined_rows"] == 1
    state = shop.lake.table(shop.catalog.get("orders")).open().state.slices
    assert {day: found["revision"] for day, found in orders.items()} == {d: s.revision for d, s in state.items()}
    (buyers,) = materialized(result, instance, "dim_buyer").values()
    assert buyers["dagster/row_count"] == 2


def test_what_is_heavy_is_kept_with_the_newest_day_alone(shop: Project, instance: dg.DagsterInstance) -> None:
    for day in (D1, D2):
        drop(shop, day, "1,7,UK,1.5")
    orders = materialized(materialize(shop, instance, ALL, (D1, D2)), instance, "orders")
    heavy = {"preview", "lineage", "dagster/column_lineage", "delta_version", "seconds"}
    assert heavy <= set(orders[D2])
    assert heavy.isdisjoint(orders[D1])


def test_a_preview_masks_private_columns(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1.5")
    found = materialized(materialize(shop, instance, ALL, (D1, D1)), instance, "orders")[D1]["preview"]
    (record,) = found.records
    assert record.data == {
        "order_id": "1", "buyer_id": "•••", "country": "UK", "order_amount": "1.500", "business_date": D1
    }  # fmt: skip


def test_every_rule_is_reported_also_when_all_is_well(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1.5")
    found = checks(materialize(shop, instance, ALL, (D1, D1)), "orders")
    assert {name: check.passed for name, check in found.items()} == {"rows": True, "keys": True, "reconciliation": True}
    reported = {str(record.data["rule"]): record.data for record in rules(found["rows"])}
    promised = {rule.name for rule in shop.catalog.get("orders").rules_of(*shop_kinds("rows"))}
    assert promised | {"quarantine_share", "row_preserving:raw_shop_orders"} == set(reported)
    assert reported["order_amount:minimum"]["passed"] == "1"
    assert found["rows"].description == "every rule kept"


def rules(check: dg.AssetCheckEvaluation) -> list[Any]:
    """The table of a check's rules."""
    found: Any = check.metadata["rules"]
    return list(found.records)


def shop_kinds(*names: str) -> list[Any]:
    from dataplatform.contracts.model import RuleKind

    return [RuleKind(name) for name in names]


def test_quarantined_rows_are_a_warning_that_names_the_rule(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1", "2,7,UK,-1")
    result = materialize(shop, instance, ALL, (D1, D1))
    check = checks(result, "orders")["rows"]
    assert result.success
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"rules not kept: order_amount:minimum. {D1} order_amount:minimum: expected" in str(check.description)
    assert f"**quarantined** {D1} order_amount:minimum" in str(check.metadata["findings"].value)


# a range with a bad day


@pytest.fixture
def partly_failed(shop: Project, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    drop(shop, D1, "1,7,UK,1")
    drop(shop, D2, "2,7,UK,x", "3,7,UK,y")
    drop(shop, D3, "4,7,UK,1")
    return materialize(shop, instance, ALL, (D1, D3))


def test_the_good_days_of_a_range_are_reported_and_the_bad_one_is_not(
    shop: Project, instance: dg.DagsterInstance, partly_failed: dg.ExecuteInProcessResult
) -> None:
    """Pain 12: one bad day does not take the others with it."""
    assert not partly_failed.success
    made = materialized(partly_failed, instance, "orders")
    assert {day: found["dagster/partition_row_count"] for day, found in made.items()} == {D1: 1, D3: 1}
    assert {row[0] for row in rows(shop, "orders")} == {"1", "4"}
    orders = shop.catalog.get("orders")
    for day, slice_ in shop.lake.table(orders).open().state.slices.items():
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key(orders), asset_partitions=[day]), limit=9
        ).records
        assert [record.asset_materialization.tags for record in records if record.asset_materialization] == [
            {DATA_VERSION_TAG: slice_.revision, CODE_VERSION_TAG: shop.version_of(orders)}
        ]


def test_the_failure_has_one_line_per_bad_day_and_says_where_to_look(
    partly_failed: dg.ExecuteInProcessResult,
) -> None:
    found = failure(partly_failed, "orders")
    day, advice = found.splitlines()
    assert day.startswith(f"cleaned.orders {D2}: quarantine_share: expected at most 50% of the rows quarantined, found")
    assert advice == f"its published rows stay as they were; {ADVICE}"


def test_checks_of_a_range_with_a_bad_day_are_errors(partly_failed: dg.ExecuteInProcessResult) -> None:
    found = checks(partly_failed, "orders")
    assert (found["rows"].passed, found["rows"].severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found["keys"].passed
    counts = {str(record.data["rule"]): record.data for record in rules(found["rows"])}["quarantine_share"]
    assert (counts["passed"], counts["failed"]) == ("2", "1")


def test_nothing_downstream_of_a_bad_day_is_run(partly_failed: dg.ExecuteInProcessResult) -> None:
    """Pain 8: a failed check stops what comes after."""
    assert skipped(partly_failed) == {"dim_buyer", "fact_orders", "daily_orders"}


def test_each_bad_day_has_a_line_of_its_own(shop: Project, instance: dg.DagsterInstance) -> None:
    for day in (D1, D2):
        drop(shop, day, "1,7,UK,x")
    found = failure(materialize(shop, instance, ALL, (D1, D2)), "orders")
    first, second, advice = found.splitlines()
    assert first.startswith(f"cleaned.orders {D1}: ")
    assert second.startswith(f"cleaned.orders {D2}: ")
    assert advice == f"what was published before stays; {ADVICE}"


def test_a_refused_file_fails_its_day_and_names_the_reason(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    (shop.settings.landing_folder / "orders" / f"{D2}.csv").touch()
    result = materialize(shop, instance, "raw_shop_orders", (D1, D2))
    assert set(materialized(result, instance, "raw_shop_orders")) == {D1}
    delivery = checks(result, "raw_shop_orders")["delivery"]
    assert (delivery.passed, delivery.severity) == (False, dg.AssetCheckSeverity.ERROR)
    reason = f"{D2} delivery:readable: expected a readable file, found empty_file"
    assert str(delivery.description).startswith(f"1 of 3 rules not kept: delivery:readable. {reason}")
    line, _ = failure(result, "raw_shop_orders").splitlines()
    assert line.startswith(f"raw.raw_shop_orders {D2}: ")
    assert "empty" in line


# a day without a file


def test_a_day_without_a_file_is_a_warning_and_no_failure(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    drop(shop, D3, "3,7,UK,1")
    result = materialize(shop, instance, ALL, (D1, D3))
    assert result.success
    assert set(materialized(result, instance, "raw_shop_orders")) == {D1, D3}
    delivery = checks(result, "raw_shop_orders")["delivery"]
    assert (delivery.passed, delivery.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "file_missing" in str(delivery.metadata["findings"].value)
    assert skipped(result) == {"orders", "dim_buyer", "fact_orders", "daily_orders"}
    said = messages(instance, result)
    assert f"raw.raw_shop_orders {D2}: " in said
    assert "raw.raw_shop_orders: what reads it waits for another run, which `dataplatform run` starts" in said


def messages(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    """What a run's log says, apart from its events."""
    return "\n".join(
        str(entry.user_message) for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event
    )


def test_a_day_without_a_file_keeps_its_published_rows(shop: Project, instance: dg.DagsterInstance) -> None:
    drop(shop, D1, "1,7,UK,1")
    materialize(shop, instance, ALL, (D1, D1))
    (shop.settings.landing_folder / "orders" / f"{D1}.csv").unlink()
    assert materialize(shop, instance, "raw_shop_orders", (D1, D1)).success
    assert len(rows(shop, "raw_shop_orders")) == 1


# an overtaken run


def overtake(shop: Project, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """While a step is at work, just before its commit, a new file comes and another run publishes the day."""
    publish, count = slices._publish, itertools.count(1)

    def overtaken(*arguments: Any) -> Any:
        if arguments[0].run_id != "other" and (number := next(count)) <= times:
            drop(shop, D1, f"1,7,UK,{number}0")
            deliver(shop, D1, [("1", "7", "UK", f"{number}1")], run="other")
        return publish(*arguments)

    monkeypatch.setattr(slices, "_publish", overtaken)


def test_an_overtaken_run_reads_its_inputs_again_and_reports_what_it_published(
    shop: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")
    overtake(shop, monkeypatch, times=1)
    result = materialize(shop, instance, "raw_shop_orders", (D1, D1))
    assert result.success
    assert rows(shop, "raw_shop_orders", "amount") == [("10",)]
    state = shop.lake.table(shop.catalog.get("raw_shop_orders")).open().state
    assert materialized(result, instance, "raw_shop_orders")[D1]["revision"] == state.slices[D1].revision


def test_a_run_that_is_always_overtaken_fails_and_its_rows_are_nowhere(
    shop: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(shop, D1, "1,7,UK,1")
    overtake(shop, monkeypatch, times=99)
    result = materialize(shop, instance, "raw_shop_orders", (D1, D1))
    assert "another run published it meanwhile" in failure(result, "raw_shop_orders")
    assert materialized(result, instance, "raw_shop_orders") == {}
    assert rows(shop, "raw_shop_orders", "amount") == [(f"{slices.ATTEMPTS}1",)]


# a contract that changed on a populated table


def changed_shop(folder: Path) -> Project:
    columns = {"business_date": "DATE partitioned key", "order_count": "VARCHAR", "total_amount": "DECIMAL(18,3)"}
    function = (
        "def daily_orders(fact_orders):\n    f = fact_orders\n    return f.group_by('business_date').agg("
        "order_count=f.count().cast('string'), total_amount=f.order_amount.sum())"
    )
    shop_tables(folder, daily_orders={"columns": columns, "function": function})
    return load(folder)


def test_a_changed_contract_fails_the_step_and_names_the_command(
    shop: Project, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    drop(shop, D1, "1,7,UK,1")
    materialize(shop, instance, ALL, (D1, D1))
    result = materialize(changed_shop(tmp_path), instance, "daily_orders", (D1, D1))
    found = failure(result, "daily_orders")
    assert "run `dataplatform rebuild daily_orders --yes`" in found


def test_a_run_tagged_as_a_rebuild_rewrites_the_table(
    shop: Project, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    drop(shop, D1, "1,7,UK,1")
    materialize(shop, instance, ALL, (D1, D1))
    changed = changed_shop(tmp_path)
    assert materialize(changed, instance, "daily_orders", (D1, "2011-01-10"), {REBUILD_TAG: "daily_orders"}).success
    assert [row[1] for row in rows(reload(changed), "daily_orders")] == ["1"]
