"""The report on a small shop, and the chart in the UI."""
