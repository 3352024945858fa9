"""Queries on a small published lake."""
