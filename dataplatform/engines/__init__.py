"""Engines: where expressions are computed. DuckDB, embedded, is the default; both hand out and take in Ibis tables."""
