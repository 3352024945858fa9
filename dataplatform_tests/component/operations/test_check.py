"""Published rows against today's contract."""

from __future__ import annotations

import pytest

from dataplatform.errors import PermanentError
from dataplatform.operations.check import check_text
from dataplatform.project import Project
from dataplatform_tests import shop


def test_what_was_published_under_todays_contract_keeps_it(project: Project) -> None:
    text, is_good = check_text(project, project.catalog.get("orders"))
    assert is_good
    verdicts = {line.split()[0]: line.split()[2] for line in text.splitlines()[2:-1]}
    assert verdicts["order_amount:minimum"] == "kept"
    assert verdicts["row_preserving:raw_shop_orders"] == "kept"
    assert set(verdicts.values()) == {"kept"}
    assert text.splitlines()[-1].startswith("cleaned.orders 2011-01-01..2011-01-02: ")
    assert text.endswith("0 rules broken")


def test_a_rule_that_came_later_is_broken_by_what_is_published(project: Project) -> None:
    contract = project.settings.tables_dir / "cleaned" / "orders.yaml"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("minimum: 0", "minimum: 1"), encoding="utf-8")
    changed = shop.reload(project)
    versions = project.lake.table(project.catalog.get("orders")).open().version
    text, is_good = check_text(changed, changed.catalog.get("orders"))
    assert not is_good
    assert "order_amount:minimum            error     broken in 1 of 2     1" in text
    assert (
        "  2011-01-02: order_amount:minimum: expected order_amount >= 1, found 1 of 1 rows otherwise, such as 0.250\n"
        in text
    )
    assert project.lake.table(project.catalog.get("orders")).open().version == versions


def test_one_partition_is_checked_by_itself(project: Project) -> None:
    text, is_good = check_text(project, project.catalog.get("fact_orders"), "2011-01-02")
    assert is_good
    assert text.splitlines()[-1].startswith("dimensional.fact_orders 2011-01-02: ")


def test_an_unpartitioned_table_is_checked_whole(project: Project) -> None:
    text, is_good = check_text(project, project.catalog.get("dim_buyer"))
    assert is_good
    assert text.splitlines()[-1].startswith("dimensional.dim_buyer: ")


def test_what_was_never_published_cannot_be_checked(project: Project) -> None:
    with pytest.raises(PermanentError, match=r"cleaned.orders 2011-01-03 was never published; run `dataplatform run`"):
        check_text(project, project.catalog.get("orders"), "2011-01-03")
