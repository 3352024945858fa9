"""Tests in tiers by speed: unit/ (nothing but memory), component/ (disk, a lake, an instance), service/."""
