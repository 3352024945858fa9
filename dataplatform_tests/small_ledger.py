"""The shipped tables over a ledger of a few lines a day, as files that are written by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from dataplatform.assets.slices import SliceOutcome
from dataplatform.build import build_definitions
from dataplatform.operations.run import RunSummary, run_stale
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.deliveries import csv_text

HEADER = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "CustomerID", "Country")
TABLES = ("+daily_sales",)
"""What is made: enough to see every layer. The others are of no interest to bad input, and dear."""
Line = Mapping[str, str]


def line(day: str, number: int = 1, **changes: str) -> dict[str, str]:
    """A sound line of `day`; `changes` are cells by the name of their column."""
    sound = {
        "Invoice": f"5{day[5:7]}{day[8:]}{number}",
        "StockCode": f"2200{number % 5}",
        "Description": "BLUE MUG",
        "Quantity": "2",
        "InvoiceDate": f"{day} 10:{number % 60:02d}:00",
        "Price": "1.25",
        "CustomerID": f"1234{number % 3}",
        "Country": "United Kingdom",
    }
    return {**sound, **changes}


def lines(day: str, count: int = 3, **changes: str) -> list[dict[str, str]]:
    return [line(day, number, **changes) for number in range(1, count + 1)]


def text(rows: Sequence[Line], header: Sequence[str] = HEADER, **dialect: Any) -> str:
    """The file of these lines, its columns in the order of `header`."""
    return csv_text([[row.get(name, "") for name in header] for row in rows], header, **dialect)


def content(day: str, count: int = 3, **changes: str) -> bytes:
    return text(lines(day, count, **changes)).encode()


def write(project: Project, name: str, data: bytes) -> Path:
    """Puts a file into the landing: `name` is a day, with or without an ending."""
    path = project.settings.landing_folder / "sales" / (name if "." in name else f"{name}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def load(folder: Path, first: str, last: str) -> Project:
    """The shipped tables for the days from `first` to `last`, with landing and data below `folder`."""
    (folder / "landing" / "sales").mkdir(parents=True, exist_ok=True)
    return Project.load(
        Settings.load(data_dir=folder / "data", landing=folder / "landing", start_date=first, end_date=last)
    )


def run(project: Project, instance: dg.DagsterInstance, select: Collection[str] = TABLES) -> RunSummary:
    return run_stale(project, build_definitions, instance, select=project.catalog.select(select))


def outcomes(summary: RunSummary, table: str) -> dict[str, SliceOutcome]:
    """What became of each slice of a table; the last, of one that was made more than once."""
    return {
        name: each for outcome in summary.outcomes if outcome.table == table for name, each in outcome.slices.items()
    }
