"""Who is told of what is wrong: problems are looked for, kept in an outbox, and told to receivers.

Level-triggered like everything else: `problems.py` says what is wrong now, `outbox.py` remembers since when and who
was told, and what must be said follows from the difference (`dueness.py`). Nothing here makes or mends anything.
"""
