"""Engines: what needs a DuckDB connection or files."""
