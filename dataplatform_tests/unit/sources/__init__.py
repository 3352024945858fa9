"""Tests of the sources without a disk."""
