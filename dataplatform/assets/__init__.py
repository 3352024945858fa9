"""Assets: how a table becomes a Dagster asset, and how its slices are made: stage, judge, publish, record."""
