"""A small lake whose slices are published by hand, for tests of what reads it: warehouse, queries, reports."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataplatform.contracts.catalog import Catalog
from dataplatform.contracts.changes import shape
from dataplatform.contracts.model import WHOLE
from dataplatform.contracts.schema import arrow_schema
from dataplatform.lake.records import Record, Slice, write_record
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.factory import TableFactory

DAYS = [f"2011-01-{day:02d}" for day in range(1, 11)]
Row = Mapping[str, Any]


class HandPublished:
    """A project whose tables nobody computes: rows are published as they are given."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self.settings = settings
        self.project = self.with_tables(catalog)
        self._sequence = itertools.count(1)

    def with_tables(self, catalog: Catalog) -> Project:
        """The project with these contracts; nothing is bound, so functions need not make sense."""
        return Project(self.settings, catalog, {}, {}, self.settings.last_date())

    def publish(
        self, table: str, rows: Sequence[Row], partitions: Sequence[str] = (WHOLE,), *, recorded: bool = True
    ) -> int:
        """Replaces `partitions` by `rows`; returns the Delta version. Without its record, as after a crash."""
        contract = self.project.catalog.get(table)
        lake_table = self.project.lake.table(contract)
        opened = lake_table.open_to_publish()
        data = pa.Table.from_pylist([dict(row) for row in rows], schema=arrow_schema(contract))
        version = lake_table.publish(
            opened, data.to_reader(), partitions, run_id=f"run-{table}", keys=self.project.keys(contract)
        )
        if not recorded:
            return version
        column = contract.partition_column
        slices = {
            p: self._slice([r for r in rows if column is None or str(r[column]) == p], version) for p in partitions
        }
        write_record(lake_table.folder, Record(frozenset({version}), slices, shape(contract)))
        return version

    def _slice(self, rows: Sequence[Row], version: int) -> Slice:
        revision = hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()[:12] if rows else "0-0"
        return Slice(
            revision=revision, rows=len(rows), quarantined=0, version=version, sequence=next(self._sequence),
            run_id=f"run-{version}", published_at="2011-02-01T06:00:00+00:00", code="c", contract="k", settings={},
        )  # fmt: skip


class PublishedLake(HandPublished):
    """Three served tables of ten days: `dim_customer` (whole), `fact_sales` and `daily_sales` (by day)."""

    def __init__(self, folder: Path) -> None:
        self.factory = TableFactory(folder)
        self.factory.add(
            "raw", "raw_sales", {"line": "VARCHAR", "business_date": "DATE partitioned"}, partitioning="day"
        )
        self.factory.add(
            "dimensional",
            "dim_customer",
            {"customer_key": "BIGINT key", "customer_id": "VARCHAR required private", "country": "VARCHAR"},
            inputs=["raw_sales"],
        )
        self.factory.add(
            "dimensional",
            "fact_sales",
            {
                "sale_key": "BIGINT key",
                "customer_key": "BIGINT required",
                "net_amount": "DECIMAL(18,3) required",
                "sold_at": "TIMESTAMP",
                "labels": "VARCHAR[]",
                "business_date": "DATE partitioned",
            },
            inputs=["raw_sales"],
            partitioning="day",
        )
        self.factory.add(
            "aggregate",
            "daily_sales",
            {"business_date": "DATE key partitioned", "net_amount": "DECIMAL(18,3)"},
            inputs=["fact_sales"],
            partitioning="day",
            custom={"physical": "none"},
        )
        settings = Settings.load(
            data_dir=folder / "data",
            landing=folder / "landing",
            tables=self.factory.tables_dir,
            start_date=date.fromisoformat(DAYS[0]),
            end_date=date.fromisoformat(DAYS[-1]),
        )
        super().__init__(settings, self.factory.catalog())

    def load(self) -> Project:
        """The project with the contracts as they are now."""
        return self.with_tables(self.factory.catalog())

    def customers(self, *countries: str) -> None:
        rows = [
            {"customer_key": number, "customer_id": f"C{number}", "country": country}
            for number, country in enumerate(countries, 1)
        ]
        self.publish("dim_customer", rows)

    def sales(self, days: Sequence[str], amount: str = "1.500", lines: int = 2) -> None:
        """`lines` sales of `amount` on each day, and each day's sum in `daily_sales`."""
        self.publish("fact_sales", [row for day in days for row in sale_rows(day, amount, lines)], days)
        totals = [
            {"business_date": date.fromisoformat(day), "net_amount": Decimal(amount) * lines} for day in days if lines
        ]
        self.publish("daily_sales", totals, days)

    def fill(self) -> None:
        """Customers, and sales on the first five days."""
        self.customers("United Kingdom", "EIRE")
        self.sales(DAYS[:5])


def sale_rows(day: str, amount: str = "1.500", lines: int = 2) -> list[Row]:
    """Rows of `fact_sales` on one day."""
    number = int(day.replace("-", "")) * 1000
    return [
        {
            "sale_key": number + line,
            "customer_key": 1 + line % 2,
            "net_amount": Decimal(amount),
            "sold_at": None,
            "labels": ["a", "b"],
            "business_date": date.fromisoformat(day),
        }
        for line in range(lines)
    ]
