"""The command without a disk."""
