"""Tests on temporary files: contracts, lakes and instances that are real and thrown away."""
