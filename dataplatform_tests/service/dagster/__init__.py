"""Every way into the platform through Dagster, with its real commands and services."""
