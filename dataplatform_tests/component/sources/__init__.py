"""Tests of the sources on files."""
