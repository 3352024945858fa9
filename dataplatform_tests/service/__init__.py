"""Real services: processes, ports and browsers."""
