"""What the platform comes through: kills, full and read-only disks, runs at once, losses and restores."""
