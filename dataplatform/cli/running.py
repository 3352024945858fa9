"""Commands that make and remove published rows."""
