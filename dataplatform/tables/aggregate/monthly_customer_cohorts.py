"""How many of the customers who came first in the same month are active in each month after."""

from __future__ import annotations

import pandas as pd


def monthly_customer_cohorts(fact_sales: pd.DataFrame) -> pd.DataFrame:
    """One row per cohort and month in which any of its customers has a ledger line."""
    # months as numbers since January 1970, which can be subtracted
    month = fact_sales["business_date"].to_numpy().astype("datetime64[M]").astype("int64")
    seen = pd.DataFrame({"customer_id": fact_sales["customer_id"], "month": month})
    active = seen.drop_duplicates().dropna()
    active["cohort"] = active.groupby("customer_id")["month"].transform("min")
    cohorts = active.groupby(["cohort", "month"], as_index=False).agg(active_customer_count=("customer_id", "size"))
    # everyone is active in the month of the first line, so the first count of a cohort is its size
    size = cohorts.groupby("cohort")["active_customer_count"].transform("first")
    return pd.DataFrame(
        {
            "cohort_start_date": cohorts["cohort"].to_numpy().astype("datetime64[M]").astype("datetime64[s]"),
            "months_since_first": cohorts["month"] - cohorts["cohort"],
            "customer_count": size,
            "active_customer_count": cohorts["active_customer_count"],
            "active_ratio": cohorts["active_customer_count"] / size,
        }
    )
