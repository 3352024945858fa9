"""Whether Ctrl-C was pressed, whoever took the signal.

While Dagster runs a job, its own handler raises an error wherever Python happens to be: inside a step it becomes a
failed step among others, and inside a callback of the garbage collector it is lost (seen: one of five interrupted
runs went on to its end). The interpreter writes every signal it handles to a socket as well: that is asked here.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

_STOPS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Dagster takes both while it runs; at other times SIGTERM ends the process without asking Python."""


@contextlib.contextmanager
def watch_interrupts() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether the process was asked to stop since. Outside the main thread: never."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.settimeout(0)
        sender.settimeout(0)
        seen: set[int] = set()

        def received() -> bool:
            with contextlib.suppress(BlockingIOError):
                seen.update(receiver.recv(1024))
            return not _STOPS.isdisjoint(seen)

        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(before)
