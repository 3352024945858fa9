"""Operating the platform: runs, locks, the Dagster instance, and what people ask of them."""
