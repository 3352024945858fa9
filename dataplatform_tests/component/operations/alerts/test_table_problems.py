"""What is wrong with tables: each kind appears when it is so, ends when it is mended, and shows no private value."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dataplatform.operations.alerts.problem import Kind
from dataplatform.operations.holds import hold_table, release_table
from dataplatform.project import Project
from dataplatform_tests import shop
from dataplatform_tests.component.operations.alerts.conftest import D1, D2, D3, NOW, PRIVATE, Look
from dataplatform_tests.in_dagster import drop, materialize

ALL = "raw_shop_orders orders dim_buyer fact_orders daily_orders"
GOOD = "1,7,UK,1"


def deliver_all(project: Project, instance: dg.DagsterInstance, **files: str) -> dg.ExecuteInProcessResult:
    """Drops a good file on each day, or the given one, and makes everything in one run."""
    for number, day in enumerate((D1, D2, D3), start=1):
        drop(project, day, *files.get(f"d{number}", f"{number},7,UK,1").split(" "))
    return materialize(project, instance, ALL, (D1, D3))


def test_nothing_is_wrong_with_a_shop_that_is_up_to_date(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    assert deliver_all(project, instance).success
    assert look(project) == {}


def test_rows_that_were_kept_out_are_told_with_the_rule_and_not_with_private_values(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    deliver_all(project, instance, d1=f"1,7,UK,1 2,{PRIVATE},UK,-5", d2="3,7,UK,2 4,7,UK,-6")
    found = look(project)
    assert list(found) == ["rows_quarantined"]
    problem = found["rows_quarantined"]
    assert (problem.subject, problem.rule, problem.partitions) == ("cleaned.orders", "order_amount:minimum", (D1, D2))
    assert problem.expected == "order_amount >= 0"
    assert problem.found == f"{D2}: 1 of 2 rows otherwise, such as -6.000"
    assert problem.owner == "tests@example.com"
    assert problem.severity == "warning"
    assert PRIVATE not in repr(found)


def test_a_private_value_that_breaks_a_rule_is_masked(tmp_path: Path, instance: dg.DagsterInstance, look: Look) -> None:
    order = {"order_id": "VARCHAR key", "country": "VARCHAR"}
    buyer = ("VARCHAR private", {"logicalTypeOptions": {"pattern": "^[0-9]+$"}})
    columns = {**order, "buyer_id": buyer, "order_amount": "DECIMAL(18,3)", "business_date": "DATE partitioned key"}
    shop.shop_tables(tmp_path, orders={"columns": columns})
    project = shop.load(tmp_path, end_date=D1)
    drop(project, D1, "1,7,UK,1", f"2,{PRIVATE},UK,2", "3,8,UK,2")
    materialize(project, instance, ALL, (D1, D1))
    found = look(project)
    assert found["rows_quarantined"].found == f"{D1}: 1 of 3 rows otherwise, such as ***"
    assert PRIVATE not in repr(found)


def test_a_rule_that_blocks_a_slice_is_an_error_until_the_slice_is_made(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    bad = "2,7,UK,-1 3,7,UK,-2 4,7,UK,1"
    deliver_all(project, instance, d2=bad)
    found = look(project)
    problem = found["rule_failed"]
    assert (problem.subject, problem.rule, problem.partitions) == ("cleaned.orders", "quarantine_share", (D2,))
    assert (problem.expected, problem.severity) == ("at most 50% of the rows quarantined", "error")
    assert "66.67% (2 of 3 rows)" in problem.found
    assert set(found) == {"rule_failed"}, "what waits for it is not told as a problem of its own"
    deliver_all(project, instance)
    assert look(project) == {}


def test_a_bad_correction_that_is_taken_back_ends_its_problem_without_a_run(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    deliver_all(project, instance)
    path = Path(str(project.settings.landing)) / "orders" / f"{D2}.csv"
    before = path.read_bytes()
    path.write_bytes(b"")
    materialize(project, instance, "raw_shop_orders", (D2, D2))
    problem = look(project)["delivery_refused"]
    assert (problem.subject, problem.partitions, problem.severity) == ("raw.raw_shop_orders", (D2,), "error")
    assert "empty_file" in problem.found
    path.write_bytes(before)
    assert look(project) == {}


def test_a_file_whose_first_line_is_a_customer_does_not_tell_who(
    tmp_path: Path, instance: dg.DagsterInstance, look: Look
) -> None:
    columns = {**shop.RAW, "buyer_id": "VARCHAR private", **shop.PROVENANCE}
    shop.shop_tables(tmp_path, raw_shop_orders={"columns": columns})
    project = shop.load(tmp_path, end_date=D1)
    folder = Path(str(project.settings.landing)) / "orders"
    folder.mkdir(parents=True)
    (folder / f"{D1}.csv").write_text(f"1,{PRIVATE},UK,1\n", encoding="utf-8")
    materialize(project, instance, "raw_shop_orders", (D1, D1))
    found = look(project)
    assert "missing_column" in found["delivery_refused"].found
    assert PRIVATE not in repr(found)


def test_an_open_day_without_a_file_is_told_when_it_is_due(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    deliver_all(project, instance)
    (Path(str(project.settings.landing)) / "orders" / f"{D3}.csv").unlink()
    assert look(project) == {}, "what was published is not missing"
    fresh = shop.load(project.settings.tables_dir.parent, end_date="2011-01-05")
    assert "file_missing" not in look(fresh, NOW.replace(day=5))
    found = look(fresh, NOW.replace(day=6, hour=1))["file_missing"]
    assert (found.partitions, found.severity) == (("2011-01-04",), "warning")
    assert look(fresh)["file_missing"].partitions == ("2011-01-04", "2011-01-05")


def test_a_table_that_is_late_is_told_once_to_an_owner_of_all_that_follow(
    tmp_path: Path, instance: dg.DagsterInstance, look: Look
) -> None:
    """Pain 16: late data reaches somebody, once."""
    latency = {"property": "latency", "value": 26, "unit": "h", "element": "business_date"}
    dated = {"document": {"slaProperties": [latency]}}
    shop.shop_tables(tmp_path, raw_shop_orders=dated, daily_orders=dated)
    project = shop.load(tmp_path, end_date=D2)
    drop(project, D1, GOOD)
    materialize(project, instance, ALL, (D1, D1))
    found = look(project)
    assert set(found) == {"table_late"}, "neither a missing file nor the tables after it are told besides"
    problem = found["table_late"]
    assert (problem.subject, problem.partitions) == ("raw.raw_shop_orders", (D2,))
    assert (problem.severity, problem.expected) == ("error", "data within 26 h")
    assert problem.found.endswith("no file was delivered")
    assert look(project, NOW.replace(day=3, hour=1, minute=30))["table_nearly_late"].severity == "warning"


def test_a_held_table_and_a_changed_contract_are_told_until_they_are_mended(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    deliver_all(project, instance)
    contract = project.catalog.get("daily_orders")
    hold_table(project.lake, contract, "wrong prices")
    assert "wrong prices" in look(project)["table_held"].found
    release_table(project.lake, contract)
    path = contract.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("BIGINT", "INTEGER"), encoding="utf-8")
    changed = look(shop.reload(project))["contract_changed"]
    assert (changed.subject, changed.severity) == ("aggregate.daily_orders", "error")
    assert "dataplatform rebuild daily_orders --yes" in changed.expected
    path.write_text(text, encoding="utf-8")
    assert look(shop.reload(project)) == {}


def test_a_stale_slice_is_told_after_its_grace_and_what_waits_for_it_is_not(
    project: Project, instance: dg.DagsterInstance, look: Look
) -> None:
    deliver_all(project, instance)
    drop(project, D2, "2,7,UK,9")
    found = look(project)
    assert set(found) == {"slice_stale"}
    problem = found["slice_stale"]
    assert (problem.subject, problem.partitions) == ("raw.raw_shop_orders", (D2,))
    assert problem.found == "delivery changed; nothing that could make it is at work"
    assert problem.grace >= 7200


def test_three_hundred_verdicts_are_one_problem(tmp_path: Path, instance: dg.DagsterInstance, look: Look) -> None:
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path, start_date="2011-01-01", end_date="2011-10-27")
    for number, day in enumerate(project.days):
        drop(project, day, f"{number}a,7,UK,1", f"{number}b,7,UK,-1")
    materialize(project, instance, "raw_shop_orders orders", (project.days[0], project.days[-1]))
    (problem,) = [each for each in look(project).values() if each.kind is Kind.ROWS_QUARANTINED]
    assert len(problem.partitions) == 300
