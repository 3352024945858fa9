"""The shop's own tables with a few rows published by hand: two months, one product with a name that is markup."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

from dataplatform.contracts.catalog import Catalog, load_catalog
from dataplatform.settings import Settings
from dataplatform.warehouse.store import Warehouse
from dataplatform_tests.published import HandPublished, Row

NET = {"2011-01-21": "100.000", "2011-01-27": "250.500", "2011-01-28": "-40.250", "2011-02-04": "1234.565"}


@cache
def shop_catalog() -> Catalog:
    return load_catalog(Settings.load().tables_dir)


class PublishedShop(HandPublished):
    """Four days of sales, two countries, two products, three cohorts."""

    def __init__(self, folder: Path) -> None:
        settings = Settings.load(
            data_dir=folder / "data", start_date=date(2011, 1, 1), end_date=date(2011, 2, 10), landing=folder
        )
        super().__init__(settings, shop_catalog())

    def fill(self) -> None:
        self.publish("daily_sales", [daily(day, net) for day, net in NET.items()], list(NET))
        self.publish("daily_country_sales", _countries(), list(NET))
        self.publish("dim_product", _products())
        self.publish("monthly_product_sales", _product_months(), ["2011-01-01", "2011-02-01"])
        self.publish("monthly_customer_cohorts", _cohorts())
        Warehouse(self.project).refresh()


def daily(day: str, net: str) -> Row:
    return {
        "business_date": date.fromisoformat(day),
        "order_count": 4,
        "line_count": 9,
        "unit_count": 1200,
        "gross_amount": Decimal(net) + 10,
        "cancelled_amount": Decimal(10),
        "net_amount": Decimal(net),
        "average_order_amount": ((Decimal(net) + 10) / 4).quantize(Decimal("0.001")),
        "customer_count": 3,
    }


def _countries() -> list[Row]:
    found: list[Row] = []
    for key, (country, name, part) in enumerate(
        (("EIRE", "Ireland", "0.25"), ("United Kingdom", "United Kingdom", "0.75")), 1
    ):
        for day, net in NET.items():
            amount = (Decimal(net) * Decimal(part)).quantize(Decimal("0.001"))
            found.append(
                {
                    "business_date": date.fromisoformat(day), "location_key": key, "country": country,
                    "country_name": name, "order_count": 2, "line_count": 4, "unit_count": 600,
                    "gross_amount": amount, "cancelled_amount": Decimal(0), "net_amount": amount, "customer_count": 1,
                }
            )  # fmt: skip
    return found


def _products() -> list[Row]:
    names = {1: ("A1", "<script>alert(1)</script>", True), 2: ("B2", None, True), 3: ("POST", "POSTAGE", False)}
    return [
        {"product_key": key, "stock_code": code, "description": name, "charge_type": "product", "is_product": known}
        for key, (code, name, known) in names.items()
    ]


def _product_months() -> list[Row]:
    return [
        {
            "month_start_date": date.fromisoformat(month), "stock_code": code, "product_key": key, "line_count": 1,
            "unit_count": 5, "gross_amount": Decimal(net), "cancelled_amount": Decimal(0), "net_amount": Decimal(net),
        }
        for month in ("2011-01-01", "2011-02-01")
        for key, code, net in ((1, "A1", "300"), (2, "B2", "100"), (3, "POST", "9999"))
    ]  # fmt: skip


def _cohorts() -> list[Row]:
    """Of ten customers of December, five were there in January and nobody in February; of four of January, one."""
    counts = [("2010-12-01", 0, 10, 10), ("2010-12-01", 1, 10, 5), ("2011-01-01", 0, 4, 4), ("2011-01-01", 1, 4, 1)]
    return [
        {
            "cohort_start_date": date.fromisoformat(month),
            "months_since_first": age,
            "customer_count": all_,
            "active_customer_count": active,
            "active_ratio": active / all_,
        }
        for month, age, all_, active in counts
    ]
