"""Commands about rows that could not be published."""
