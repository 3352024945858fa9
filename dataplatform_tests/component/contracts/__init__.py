"""Contract files, one by one and together."""
