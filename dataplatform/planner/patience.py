"""When a slice that was tried in vain is tried again by what runs unattended.

What failed permanently waits until something about it changes; what may pass is tried again after growing delays.
`dataplatform run`, a close and people do not wait: they try everything stale once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplatform.lake.attempts import Attempt

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""A service that is back after a minute is used after a minute; one that is down for a day costs 24 tries."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stale slice that is not tried now: why, and until when (None: until something about it changes)."""

    reason: str
    until: datetime | None


def delay(tries: int) -> timedelta:
    """How long to wait after so many tries in the same situation: 1, 2, 4 … minutes, an hour at most."""
    doublings = min(max(tries - 1, 0), 10)
    return min(FIRST_DELAY * (1 << doublings), LONGEST_DELAY)


def waiting(attempt: Attempt, situation: str, now: datetime) -> Waiting | None:
    """Whether a slice that was tried so is to wait now that its situation is this."""
    if attempt.situation and attempt.situation != situation:
        return None
    if attempt.situation and not attempt.is_transient:
        return Waiting(attempt.reason, None)
    until = datetime.fromtimestamp(attempt.at / 1e9, UTC) + delay(attempt.count)
    return Waiting(attempt.reason, until) if now < until else None
