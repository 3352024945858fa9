"""The warehouse, on a small published lake."""
