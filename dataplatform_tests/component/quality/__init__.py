"""Judging candidates on an embedded database in memory."""
