"""How a step fails: once and for all, or with another try, by the type of its error alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dataplatform.errors import TransientError, classified

STEP_RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""Of transient errors. Waits up to one second and up to three: a run in a terminal waits with them."""


@contextmanager
def failing_well() -> Iterator[None]:
    """Makes every error a Failure that says in its first line what is wrong, and whether the step is tried again."""
    try:
        yield
    except dg.Failure:
        raise
    except Exception as error:
        known = classified(error)
        again = isinstance(known, TransientError) and not known.tried_enough
        raise dg.Failure(description=str(known), allow_retries=again) from error
