"""Tests without disk, database or network, a hundredth of a second each."""
