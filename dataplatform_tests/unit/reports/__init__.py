"""Charts, as far as they need no disk."""
