"""Schedules on a temporary lake and a real instance."""
