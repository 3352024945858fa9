"""Rows that could not be published, as people see them, and making their slices again."""

from __future__ import annotations

from pathlib import Path

from dataplatform.operations.quarantine import Held, held_partitions, held_rows, list_text, replay_plan, show_text
from dataplatform.project import Project
from dataplatform_tests import shop


def test_rows_are_counted_by_table_state_and_reason(project: Project) -> None:
    assert held_rows(project) == [
        Held("cleaned.orders", False, "order_amount:minimum", 1, frozenset({"2011-01-02"})),
        Held("cleaned.orders", True, "order_amount:minimum", 1, frozenset({"2011-01-03"})),
        Held("cleaned.orders", True, "unparseable:***", 1, frozenset({"2011-01-03"})),
    ]


def test_the_list_tells_rows_kept_out_from_partitions_that_were_not_published(project: Project) -> None:
    assert [line.split() for line in list_text(project).splitlines()[2:]] == [
        ["cleaned.orders", "row", "kept", "out", "order_amount:minimum", "1", "2011-01-02"],
        ["cleaned.orders", "partition", "not", "published", "order_amount:minimum", "1", "2011-01-03"],
        ["cleaned.orders", "partition", "not", "published", "unparseable:***", "1", "2011-01-03"],
    ]


def test_an_empty_quarantine_says_so(tmp_path: Path) -> None:
    shop.shop_tables(tmp_path)
    project = shop.load(tmp_path)
    assert list_text(project) == "the quarantine is empty"
    assert show_text(project, project.catalog.get("orders"), None, 5) == "nothing of cleaned.orders is in quarantine"


def test_rows_are_shown_with_their_reasons_and_private_columns_masked(project: Project) -> None:
    text = show_text(project, project.catalog.get("orders"), "2011-01-02", 5)
    assert text == (
        "2011-01-02  quarantined by run run: order_amount:minimum: -3.500\n"
        "    order_id 4, buyer_id ***, country FR, order_amount -3.500, business_date 2011-01-02"
    )


def test_rows_beyond_the_limit_are_counted(project: Project) -> None:
    text = show_text(project, project.catalog.get("orders"), None, 1)
    assert len(text.splitlines()) == 3
    assert text.endswith("… and 2 rows more; see more with --limit")


def test_a_partition_without_quarantined_rows_says_so(project: Project) -> None:
    text = show_text(project, project.catalog.get("orders"), "2011-01-01", 5)
    assert text == "nothing of cleaned.orders 2011-01-01 is in quarantine"


def test_partitions_to_make_again_are_those_that_hold_rows(project: Project) -> None:
    orders = project.catalog.get("orders")
    assert held_partitions(project, orders, None) == ["2011-01-02", "2011-01-03"]
    assert held_partitions(project, orders, "2011-01-03") == ["2011-01-03"]
    assert held_partitions(project, orders, "2011-01-01") == []


def outlook(project: Project) -> dict[str, str]:
    """What a replay of the orders would come to, by partition."""
    orders = project.catalog.get("orders")
    lines = replay_plan(project, orders, held_partitions(project, orders, None)).splitlines()[2:]
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def test_a_replay_with_the_same_code_would_change_nothing(project: Project) -> None:
    found = outlook(project)
    assert found["2011-01-02"].startswith("1 1 1 order_amount:minimum: expected order_amount >= 0")
    assert found["2011-01-03"].startswith("2 not published: quarantine_share: expected at most 50% of the rows")


def test_a_replay_after_the_code_was_put_right_says_how_many_rows_pass(project: Project) -> None:
    function = project.settings.tables_dir / "cleaned" / "orders.py"
    text = function.read_text(encoding="utf-8")
    function.write_text(text.replace('decimal(18,3)")', 'decimal(18,3)").abs()'), encoding="utf-8")
    before = project.lake.table(project.catalog.get("orders")).open().state
    assert outlook(shop.reload(project)) == {
        "2011-01-02": "1 0 2",
        "2011-01-03": "2 1 2 unparseable: expected no row that is unparseable, found 1 of 3 rows otherwise, "
        "such as unparseable:***",
    }
    assert project.lake.table(project.catalog.get("orders")).open().state == before
    assert len(held_rows(project)) == 3
