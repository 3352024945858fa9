"""Judging candidates, without a database."""
