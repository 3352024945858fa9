"""Answering people's SQL from the lake, read-only: what a statement may do, what it sees, how the answer is written.

Queries of the warehouse need nothing from here: it is a DuckDB file. Nothing here changes or makes a table.
"""
