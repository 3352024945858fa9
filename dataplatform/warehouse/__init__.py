"""The DuckDB database that people query: made from the lake, swapped in whole, read by anyone, written by nobody else.

Here live its files, what is loaded into them, and Dagster's asset and IO manager of it. How lake tables are made or
judged does not: the warehouse copies what was published. Queries on the lake itself are the `serving` room's.
"""
