"""The lake: one Delta table per platform table, published slice by slice in one commit each.

Here live reading a slice, publishing slices, the record of each publication and time travel. What may be
published is decided elsewhere (`quality`), and when it is made again too (`planner`).
"""
