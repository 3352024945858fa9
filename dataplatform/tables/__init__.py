"""The domain: what the shop's tables promise (contracts) and how each is made from others (functions of that name).

Here live contracts, pure functions of tables, and the few helpers they share. No storage, clock, environment or
orchestration: nothing in here imports another room, and no other room knows what a sale is.
"""
