"""Backups, on real folders and real instances."""
