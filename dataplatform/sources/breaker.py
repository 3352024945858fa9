"""The circuit breaker of a source: how often one that gives no answer is asked, over all processes of a data folder.

Every request is an *ask*. Asks that have no answer (they failed, or are still on their way) are counted in a small
file that all processes share; when there are three of them within a minute, nobody asks until the oldest is a minute
old. So a source that is down is asked at most three times in any minute, by however many processes and for however
many partitions. One answer clears the count; while answers keep coming, nothing is counted and no file is touched.
An ask whose process was killed is forgotten after its minute: nothing is left to clean up.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from dataplatform.errors import NoAnswerError, SourceDownError, TransientError

MOST_ASKS, WINDOW = 3, 60.0
"""Asks without an answer within so many seconds."""
FRESH = 10.0
"""Seconds for which an answer proves that the source is up. What is on its way when it goes down comes on top."""
PATIENCE = 15.0
"""Seconds to wait for the answers to others' asks before the source counts as down; as long as one ask may take."""
_PAUSE = 0.05

T = TypeVar("T")


@dataclass
class _State:
    """What is known of one source: asks without an answer, the last answer, and since when and why there is none."""

    place: str = ""
    asks: list[float] = field(default_factory=list)
    answered: float = 0.0
    since: float = 0.0
    why: str = ""


class Breaker:
    """Of the source called `place`, in the shared file `path`, which is made when the first ask is counted."""

    def __init__(
        self,
        path: Path,
        place: str,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._place, self._clock, self._pause = path, place, clock, pause
        self._own = _State(place)
        """Takes the file's part where it cannot be written."""
        self._answered = self._noted = 0.0
        """When this process had an answer, and when it last told the others."""

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around one request. SourceDownError when it must not be made; a TransientError in it is no answer."""
        ask = self._admit()
        try:
            yield
        except TransientError as error:
            why = error.why if isinstance(error, NoAnswerError) else str(error)
            self._change(lambda state: self._count_failed(state, ask, why))
            raise
        except Exception:  # an answer that was not the one hoped for
            self._note_answer()
            raise
        self._note_answer()

    def outage(self) -> SourceDownError | None:
        """Why nobody may ask now, or None."""
        return self._change(self._closed)

    def _admit(self) -> float:
        """Waits until an ask may be made and counts it; gives its time, 0 when none had to be counted."""
        if 0 <= self._clock() - self._answered < FRESH / 2:
            return 0.0
        deadline = self._clock() + PATIENCE
        while True:
            ask = self._change(lambda state: self._count(state, is_late=self._clock() >= deadline))
            if ask is not None:
                return ask
            self._pause(_PAUSE)

    def _count(self, state: _State, *, is_late: bool) -> float | None:
        now = self._clock()
        if not state.since and 0 <= now - state.answered < FRESH:
            return 0.0
        outage = self._closed(state)
        if outage is None:
            state.asks.append(now)
            return now
        if state.since or is_late:
            raise outage
        return None  # those who asked may yet be answered

    def _count_failed(self, state: _State, ask: float, why: str) -> None:
        self._answered = self._noted = 0.0
        if not ask:
            state.asks.append(self._clock())
        state.since = state.since or ask or self._clock()
        state.why = why

    def _note_answer(self) -> None:
        now = self._answered = self._clock()
        if now - self._noted >= FRESH / 2:
            self._change(lambda state: self._clear(state, now))
            self._noted = now

    @staticmethod
    def _clear(state: _State, now: float) -> None:
        state.asks, state.answered, state.since, state.why = [], now, 0.0, ""

    def _closed(self, state: _State) -> SourceDownError | None:
        now = self._clock()
        # a clock that was set back must not keep everybody waiting for asks of the future
        state.asks = [ask for ask in state.asks if now - WINDOW < ask <= now]
        if len(state.asks) < MOST_ASKS:
            return None
        since, again = state.since or min(state.asks), state.asks[-MOST_ASKS] + WINDOW
        return SourceDownError(self._place, state.why or "no answer yet", _at(since), _at(again))

    def _change(self, change: Callable[[_State], T]) -> T:
        """Reads the shared state, lets `change` look at it and alter it, and stores what is new, under a lock."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # freed when the file is closed, in whatever way
                file.seek(0)
                before = file.read()
                state = _read(before) or _State(self._place)
                try:
                    return change(state)
                finally:
                    after = json.dumps(asdict(state))
                    if after != before:
                        file.truncate(0)
                        file.write(after)
        except OSError:  # a full disk, or a folder that may only be read: each process counts for itself then
            return change(self._own)


def outages(folder: Path, clock: Callable[[], float] = time.time) -> list[SourceDownError]:
    """The sources that gave no answer when they were last asked, from the files in `folder`; for people who look."""
    found = []
    for path in sorted(folder.glob("*.json")):
        state = _read(path.read_text(encoding="utf-8"))
        if state is not None and state.since:
            recent = [ask for ask in state.asks if clock() - WINDOW < ask]
            again = recent[-MOST_ASKS] + WINDOW if len(recent) >= MOST_ASKS else clock()
            found.append(SourceDownError(state.place, state.why, _at(state.since), _at(again)))
    return found


def _read(text: str) -> _State | None:
    """The state in a file's text; None when it is empty or damaged, which means that nothing is known."""
    try:
        return _State(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
