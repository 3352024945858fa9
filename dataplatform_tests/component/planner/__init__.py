"""What is stale, and in which order it is made again."""
