"""The planner: which slices are stale, why, and in which order and ranges they are made again.

It reads the lake's publication records, the sources' offers and the fingerprints of code, contracts and settings,
and decides; it never makes anything. `dataplatform run`, sensors and schedules all ask it.
"""
