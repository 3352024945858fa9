"""What people look at: the sales report, one page that opens without a network.

The report reads the warehouse (and the quality history of the lake) and computes no measure of its own that a table
should hold. It is the one place beside `tables/` that knows the shop.
"""
