"""What the shipped tables make of a few rows: no lake, no Dagster, one in-memory connection per test."""
