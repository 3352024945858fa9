"""Contracts: what each table promises, read from Open Data Contract Standard files into one immutable model."""
