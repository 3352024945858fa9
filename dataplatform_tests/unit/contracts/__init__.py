"""Contracts in memory."""
