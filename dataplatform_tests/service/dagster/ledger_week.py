"""Four days of the shipped ledger in a data folder of their own, and Dagster's commands on it."""

from __future__ import annotations

import csv
import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from dataplatform.operations.instance import ensure_instance
from dataplatform.operations.serve import environment
from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.reports.sales import report_stale
from dataplatform.settings import CHECKOUT, Settings
from dataplatform.warehouse.store import Warehouse

DAYS = ("2011-12-06", "2011-12-07", "2011-12-08", "2011-12-09")
MONTH = "2011-12-01"
SECONDS = 120
"""More than any command takes on a busy machine; one that hangs fails."""


@dataclass(frozen=True)
class LedgerWeek:
    """A folder with the parts of a checkout that Dagster's commands look for, a landing folder and a data folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> LedgerWeek:
        """With no file delivered yet, and an instance that has seen no run."""
        (folder / "landing" / "sales").mkdir(parents=True)
        for part in ("dataplatform", "pyproject.toml"):
            (folder / part).symlink_to(CHECKOUT / part)
        week = cls(folder)
        ensure_instance(week.settings, folder)
        return week

    def copy(self, folder: Path) -> LedgerWeek:
        """The same with another place for everything, to do with as one likes."""
        shutil.copytree(self.folder, folder, symlinks=True)
        week = LedgerWeek(folder)
        ensure_instance(week.settings, folder)  # an instance knows its own place
        return week

    @property
    def settings(self) -> Settings:
        given = {"start_date": DAYS[0], "end_date": DAYS[-1], "landing": self.folder / "landing"}
        return Settings.load(data_dir=self.folder / "data", **given)

    def project(self) -> Project:
        """Read anew, as a process of its own would."""
        return Project.load(self.settings)

    def deliver(self, *days: str) -> None:
        for day in days:
            name = Path("sales", f"{day}.csv.gz")
            shutil.copy(CHECKOUT / "data" / "landing" / name, self.folder / "landing" / name)

    def run(self, line: str) -> None:
        """Runs a line of the README in this folder. Its output is shown when it fails."""
        command = subprocess.run(
            shlex.split(line), cwd=self.folder, env=self.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        assert command.returncode == 0, f"{line}\n{command.stdout}"

    def variables(self) -> dict[str, str]:
        """The settings and the instance, as every process reads them."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, **environment(self.settings), "PATH": path}


def readme_lines(marker: str) -> list[str]:
    """The commands of the README's block that is marked so."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- {marker}: the tests run these lines -->\n```sh\n(.*?)```", text, re.DOTALL)
    return str(block).splitlines()


def delivered(day: str) -> list[dict[str, str]]:
    """A day's file as it ships, read by nothing of the platform's."""
    with gzip.open(
        CHECKOUT / "data" / "landing" / "sales" / f"{day}.csv.gz", "rt", encoding="utf-8", newline=""
    ) as text:
        return list(csv.DictReader(text))


def net_amount(day: str) -> Decimal:
    return sum((Decimal(line["Quantity"]) * Decimal(line["Price"]) for line in delivered(day)), Decimal(0))


def published_rows(project: Project, table: str) -> dict[str, int]:
    """Partition -> rows, as the lake records them."""
    slices = project.lake.table(project.catalog.get(table)).open().state.slices
    return {partition: slice_.rows for partition, slice_ in slices.items()}


def columns(project: Project, table: str, *names: str) -> list[tuple[Any, ...]]:
    """Published values, in no order."""
    with project.session() as session:
        rows = session.open(project.lake.table(project.catalog.get(table)).open(), None, names)
        return session.connection.sql(str(session.backend.compile(rows))).fetchall()


def left_to_do(project: Project) -> list[str]:
    """What the planner holds to be stale, and what of the serving layer is behind."""
    stale = [f"{slice_.table} {slice_.partition}: {slice_.reason}" for slice_ in make_plan(project).slices()]
    return [*stale, *Warehouse(project).stale(), *(["sales_report"] if report_stale(project) else [])]
