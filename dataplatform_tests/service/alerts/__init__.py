"""Receivers that really run: web servers that behave badly, mail servers, processes that die in between."""
