"""The promises of the shipped tables, kept and broken."""
