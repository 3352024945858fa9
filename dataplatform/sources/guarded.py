"""A landing that may be down: each call is tried again after a pause, and never when its breaker says no.

All attempts that are made at a source are made here, one request each: the storage client makes none by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from dataplatform.errors import SourceDownError, TransientError
from dataplatform.sources.files import Files, Found

if TYPE_CHECKING:
    from dataplatform.sources.breaker import Breaker

LIST_ATTEMPTS, READ_ATTEMPTS = 3, 2
"""One file that cannot be read must not use up what the breaker allows: the one after it may be readable."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
"""Seconds. Pauses double from the first, and each is a random part of that, so that processes do not ask in step."""

T = TypeVar("T")


class GuardedFiles:
    """`files` behind `breaker`. `pause` sleeps for so many seconds."""

    def __init__(self, files: Files, breaker: Breaker, pause: Callable[[float], None] | None = None) -> None:
        self._files, self._breaker, self._pause = files, breaker, pause

    def list(self, folder: str) -> Sequence[Found]:
        return self._ask(LIST_ATTEMPTS, lambda: self._files.list(folder))

    def read(self, name: str) -> bytes:
        return self._ask(READ_ATTEMPTS, lambda: self._files.read(name))

    def _ask(self, attempts: int, call: Callable[[], T]) -> T:
        from tenacity import Retrying, retry_if_exception, sleep, stop_after_attempt, wait_random_exponential

        def asked() -> T:
            with self._breaker.asking():
                return call()

        trying = Retrying(
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(FIRST_PAUSE, LONGEST_PAUSE),
            retry=retry_if_exception(lambda e: isinstance(e, TransientError) and not isinstance(e, SourceDownError)),
            sleep=self._pause or sleep,
            reraise=True,
        )
        try:
            return trying(asked)
        except SourceDownError:
            raise
        except TransientError:
            outage = self._breaker.outage()
            if outage is not None:
                raise outage from None
            raise
