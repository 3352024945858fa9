"""The lake on a temporary folder."""
