"""A data platform on Dagster: a table is a contract and a function of the same name."""
