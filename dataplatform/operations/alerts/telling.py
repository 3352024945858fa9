"""Telling: what is due is sent, within a bounded time, and marked when a receiver has accepted it.

Each receiver has a thread of its own, so that one that hangs keeps nothing from the others, and whoever waits for
them waits a bounded time whatever happens: name look-ups and slow answers escape every limit of a client library.
A thread that is given up on ends by itself; what it still delivers it marks itself.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.dueness import Batch, batches, waiting
from dataplatform.operations.alerts.message import Links
from dataplatform.operations.alerts.outbox import FOLDER, Outbox, ReceiverState, open_outbox
from dataplatform.operations.alerts.problem import Kind, Problem, problem
from dataplatform.operations.alerts.sending import SECONDS, UndeliveredError, send
from dataplatform.operations.alerts.setting import AlertSetting, load_alert_setting, subject_of
from dataplatform.operations.text import count

if TYPE_CHECKING:
    from dataplatform.settings import Settings

BUDGET_SECONDS = 10.0
"""How long one telling may take, whatever receivers do."""
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
"""How long a receiver that failed is left alone: doubled with every failure in a row."""
GIVEN_UP_AFTER = 3
"""So many failures in a row make a receiver unreachable; one that waiting does not mend does so at once."""
FAILING_FOR = 600.0
"""So does a second failure so many seconds after the first, where telling is rare."""
RECEIVERS = "receivers"
"""The source of the problems of receivers themselves."""
_LOCK = "telling.lock"


@dataclass
class Told:
    """What one telling came to, by receiver: messages accepted, held back, and what went wrong."""

    sent: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    """Receivers that failed before and are left alone for so many seconds more."""
    is_elsewhere: bool = False
    """Another process is telling at this moment, and does what is due."""

    def lines(self) -> Iterator[str]:
        """One line per receiver that something happened with."""
        for name, number in self.sent.items():
            yield f"{name} was told {count(number, 'message')}"
        for name, number in self.held.items():
            yield f"{name}: {count(number, 'message')} held back by the rate limit"
        for name, reason in self.failed.items():
            yield f"{name} could not be told: {reason}"
        for name, rest in self.resting.items():
            yield f"{name} could not be told before and is tried again in {rest:.0f} s"
        if self.is_elsewhere:
            yield "another process is telling at this moment"


@dataclass(frozen=True)
class Teller:
    """Everything a telling needs besides the outbox. `send` and `clock` are what tests replace by slower ones."""

    settings: Settings
    setting: AlertSetting
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    budget: float = BUDGET_SECONDS
    timeout: float = SECONDS
    is_patient: bool = True
    """Whether a receiver that failed is left alone for a while; a person who asks is answered at once."""

    @classmethod
    def load(cls, settings: Settings, **options: object) -> Teller:
        """Raises AlertSettingError."""
        return cls(settings, load_alert_setting(settings.alerts), **options)  # type: ignore[arg-type]

    @property
    def links(self) -> Links:
        return Links(self.settings.ui_url.rstrip("/"), self.setting.runbook)

    def tell(self, now: datetime, observe: Callable[[Outbox], None] = lambda _: None) -> Told:
        """Takes in what `observe` finds, and sends what is due. Takes at most `budget` seconds for the sending.

        Only one process at a time does this on a data folder; another does nothing, and says so.
        """
        told = Told()
        with open_outbox(self.settings.data_dir) as outbox, self._alone() as is_alone:
            if not is_alone:
                told.is_elsewhere = True
                return told
            observe(outbox)
            self._tell(outbox, now.timestamp(), told)
        return told

    def take_in(self, outbox: Outbox, observe: Callable[[Outbox], None]) -> None:
        """Only takes in what `observe` finds; nothing when another process is telling, whose look is as new."""
        with self._alone() as is_alone:
            if is_alone:
                observe(outbox)

    def _tell(self, outbox: Outbox, now: float, told: Told) -> None:
        outbox.forget_receivers(list(self.setting.receivers))
        deadline = time.monotonic() + self.budget
        self._deliver(batches(outbox, self.setting, self.links, now), outbox, now, deadline, told)
        before = {each.problem.fingerprint for each in outbox.alerts() if each.source == RECEIVERS}
        outbox.observe(RECEIVERS, self.unreachable(outbox, now), now)
        after = {e.problem.fingerprint for e in outbox.alerts() if e.source == RECEIVERS and e.resolved_at is None}
        if before != after:  # the others hear of it at once: a command that is run once a day has no next tick
            self._deliver(batches(outbox, self.setting, self.links, now), outbox, now, deadline, told)

    def unreachable(self, outbox: Outbox, now: float) -> list[Problem]:
        """The receivers that cannot be reached, as problems of their own."""
        states, queued = outbox.receivers(), waiting(outbox, self.setting, self.links, now)
        found = []
        for name in self.setting.receivers:
            state = states.get(name)
            if state is not None and is_unreachable(state, now):
                wait = f"; {count(queued[name], 'message')} wait for it" if queued.get(name) else ""
                tried = f"{state.reason}, {count(state.failures, 'time')} in a row{wait}"
                found.append(problem(Kind.RECEIVER_UNREACHABLE, subject_of(name), expected="it accepts", found=tried))
        return found

    def _deliver(self, due: Sequence[Batch], outbox: Outbox, now: float, deadline: float, told: Told) -> None:
        states = outbox.receivers()
        work: list[tuple[_Delivery, threading.Thread]] = []
        for batch in due:
            state = states.get(batch.receiver, ReceiverState(batch.receiver))
            if batch.held:
                outbox.hold_back(batch.receiver, batch.held, now)
                told.held[batch.receiver] = len(batch.held)
            if self.is_patient and state.not_before > now:
                told.resting[batch.receiver] = state.not_before - now
            elif batch.due and batch.receiver not in told.failed:
                delivery = _Delivery(self, batch, now, deadline)
                # a daemon thread: it must not keep the process from ending
                thread = threading.Thread(target=delivery.run, name=f"tell {batch.receiver}", daemon=True)
                thread.start()
                work.append((delivery, thread))
        for delivery, thread in work:
            thread.join(max(deadline - time.monotonic(), 0.0))
            self._conclude(delivery, outbox, now, told, hangs=thread.is_alive())

    def _conclude(self, delivery: _Delivery, outbox: Outbox, now: float, told: Told, *, hangs: bool) -> None:
        name = delivery.batch.receiver
        if delivery.sent:
            told.sent[name] = told.sent.get(name, 0) + delivery.sent
        error = delivery.error
        if hangs:
            error = UndeliveredError(f"it did not answer within {self.budget:g} s")
        if error is not None:
            told.failed[name] = error.reason
            failures = outbox.receivers().get(name, ReceiverState(name)).failures
            pause = max(error.retry_after, min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE))
            outbox.note_failure(name, error.reason, is_permanent=error.is_permanent, not_before=now + pause, now=now)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process is telling. The kernel frees the lock when its holder ends in whatever way."""
        with (self.settings.data_dir / FOLDER / _LOCK).open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def is_unreachable(state: ReceiverState, now: float) -> bool:
    """Whether a receiver's failures are more than a hiccup."""
    if not state.failures:
        return False
    lasting = state.failures > 1 and now - (state.failing_since or now) >= FAILING_FOR
    return state.is_permanent or state.failures >= GIVEN_UP_AFTER or lasting


class _Delivery:
    """One receiver's messages, one after the other, in a thread. It marks each as soon as it is accepted."""

    def __init__(self, teller: Teller, batch: Batch, now: float, deadline: float) -> None:
        self.teller, self.batch, self.now, self.deadline = teller, batch, now, deadline
        self.sent = 0
        self.error: UndeliveredError | None = None

    def run(self) -> None:
        try:
            with open_outbox(self.teller.settings.data_dir) as outbox:
                self._send(outbox)
        except UndeliveredError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - a thread's own error would be printed, and may quote an address
            self.error = UndeliveredError(f"it cannot be told ({type(error).__name__})")

    def _send(self, outbox: Outbox) -> None:
        name = self.batch.receiver
        receiver = self.teller.setting.receivers[name]
        for due in self.batch.due:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return
            reason = send(receiver, due.message, min(self.teller.timeout, left), self.teller.environ)
            outbox.mark_told(name, due.marks, self.now, self.now)
            outbox.note_success(name, reason, self.now)
            self.sent += 1
