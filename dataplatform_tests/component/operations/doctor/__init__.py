"""The doctor, on the small shop."""
