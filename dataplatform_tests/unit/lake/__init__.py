"""The lake in memory."""
