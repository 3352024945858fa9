"""The example shop on files: a landing of four small days, what arrives later, and everything a run leaves behind.

For tests of whole runs: they compare all that can be seen of two data folders, cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform.warehouse.contents import SERVED_LAYERS
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests import shop
from dataplatform_tests.command import call

Order = tuple[str, str, str, str]
HEADER = "order_id,buyer_id,country,amount"
DAYS = [f"2011-01-0{number}" for number in range(1, 7)]
FIRST_FILES: Mapping[str, Sequence[Order]] = {
    DAYS[0]: [("11", "7", "UK", "1.5"), ("12", "8", "FR", "2.25"), ("13", "9", "DE", "x")],
    DAYS[1]: [("21", "8", "FR", "0.125"), ("22", "8", "FR", "7")],
    DAYS[2]: [("31", "7", "UK", "10"), ("32", "9", "DE", "4"), ("33", "9", "DE", "-3")],
    DAYS[3]: [("41", "7", "UK", "6"), ("42", "8", "FR", "5"), ("43", "9", "DE", "1")],
}
LATER_FILES: Mapping[str, Sequence[Order]] = {
    # a correction that moves a buyer, so that facts of the next day change too; a new day with a bad row
    DAYS[2]: [("31", "7", "ES", "12"), ("32", "9", "DE", "4"), ("33", "9", "DE", "3")],
    DAYS[4]: [("51", "10", "UK", "8"), ("52", "7", "UK", "1e3"), ("53", "7", "UK", "9")],
    DAYS[3]: [("41", "7", "UK", "6"), ("42", "8", "FR", "5"), ("43", "9", "DE", "1"), ("44", "9", "DE", "1,5")],
}


def make_shop(folder: Path) -> Settings:
    """Writes the shop's tables and its first files below `folder`; the data folder is `<folder>/data`."""
    shop.shop_tables(folder)
    deliver(folder, FIRST_FILES)
    return settings_of(folder)


def settings_of(folder: Path, data_dir: Path | None = None) -> Settings:
    return Settings.load(
        data_dir=data_dir or folder / "data",
        landing=folder / "landing",
        tables=folder / "tables",
        start_date=DAYS[0],
        end_date=DAYS[-1],
    )


def deliver(folder: Path, files: Mapping[str, Sequence[Order]]) -> None:
    """Puts files into the landing, each in one piece."""
    (folder / "landing" / "orders").mkdir(parents=True, exist_ok=True)
    for day, orders in files.items():
        path = file_of(folder, day)
        path.with_suffix(".new").write_text("\n".join([HEADER, *map(_line, orders), ""]), encoding="utf-8")
        path.with_suffix(".new").replace(path)


def _line(order: Order) -> str:
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in order)


def file_of(folder: Path, day: str) -> Path:
    return folder / "landing" / "orders" / f"{day}.csv"


def run(settings: Settings, *arguments: str, code: int = 0) -> str:
    """`dataplatform run` in this process; its output, after its exit code was checked."""
    result = call(settings, "run", *arguments)
    assert result.exit_code == code, result.output
    return result.output


def published(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table in the lake, sorted; nothing for tables that are not there."""
    return {contract.name: shop.rows(project, contract.name) for contract in project.catalog}


def everything(project: Project) -> dict[str, Any]:
    """All that a run leaves and that must not depend on how it came about: runs and times are left out."""
    return {
        "rows": published(project),
        "quarantine": quarantine(project),
        "verdicts": verdicts(project),
        "stale": [(slice_.table, slice_.partition) for slice_ in make_plan(project).slices()],
        "warehouse": warehouse(project),
    }


def quarantine(project: Project) -> list[tuple[Any, ...]]:
    """Every row that is kept aside, with its table, status and reasons."""
    found = []
    for contract in project.catalog:
        columns = ", ".join(contract.column_names)
        sql = f"SELECT '{contract.name}', _partition, _status, _reasons, {columns} FROM quarantine.{contract.name}"
        found += _platform_rows(project, f"quarantine/{contract.name}", sql)
    return sorted(found, key=str)


def verdicts(project: Project) -> list[tuple[Any, ...]]:
    """What the rules said when each partition was last judged."""
    sql = """
        SELECT table_name, partition, rule, status, expected, found, failed_rows, checked_rows
        FROM quality.rule_results
        QUALIFY evaluated_at = max(evaluated_at) OVER (PARTITION BY table_name, partition)
    """
    return sorted(_platform_rows(project, "quality/rule_results", sql), key=str)


def _platform_rows(project: Project, name: str, sql: str) -> list[tuple[Any, ...]]:
    schema, _, table = name.partition("/")
    held = PlatformTables(project.lake.root).read(schema, table)
    parts = [held.pending] if held.pending is not None else []
    parts += [held.handle.to_pyarrow_table()] if held.handle is not None else []
    if not parts:
        return []
    with project.session() as session:
        session.connection.register("found", pa.concat_tables(parts, promote_options="permissive"))
        return session.connection.execute(sql.replace(f"{schema}.{table}", "found")).fetchall()


def warehouse(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every served table in the warehouse, sorted; nothing when there is no warehouse."""
    store = Warehouse(project)
    if not store.path.exists():
        return {}
    with closing(store.connect()) as connection:
        return {
            contract.name: sorted(connection.execute(f"SELECT * FROM {contract.full_name}").fetchall(), key=str)
            for contract in project.catalog
            if contract.layer in SERVED_LAYERS
        }
