"""Engines: what is judged on expressions alone."""
