"""Ctrl-C is noticed, whoever takes the signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from dataplatform.operations.interrupts import watch_interrupts


@pytest.fixture
def deaf() -> Iterator[None]:
    """Handlers that lose the signal, as an error raised in a callback of the garbage collector is lost."""

    def lose(_number: int, _frame: FrameType | None) -> None: ...

    before = {number: signal.signal(number, lose) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_is_noticed_although_its_handler_lost_it(number: signal.Signals) -> None:
    with watch_interrupts() as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
        assert interrupted()


@pytest.mark.usefixtures("deaf")
def test_other_signals_are_no_request_to_stop() -> None:
    with watch_interrupts() as interrupted:
        signal.raise_signal(signal.SIGUSR1)
        assert not interrupted()


def test_what_listened_before_listens_again() -> None:
    with watch_interrupts():
        pass
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_the_main_thread_nothing_is_watched() -> None:
    found = []

    def look() -> None:
        with watch_interrupts() as interrupted:
            found.append(interrupted())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [False]
