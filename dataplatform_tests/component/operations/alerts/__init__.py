"""What is wrong on a real lake and instance, and what must be said of it."""
