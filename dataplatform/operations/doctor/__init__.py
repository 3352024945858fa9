"""`dataplatform doctor`: looks at everything a platform stands on, says what is wrong and what mends it.

A new look is a function of a `Patient` that yields `Finding`s, named in `examination.LOOKS`; its findings have their
kinds in `finding.py`, each with an entry in the runbook. Nothing here writes, except the `fix` of a finding.
"""
