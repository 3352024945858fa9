"""The circuit breaker of a source, on a clock that stands still until it is told otherwise."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dataplatform.errors import SourceDownError, TransientError
from dataplatform.sources.breaker import FRESH, MOST_ASKS, PATIENCE, WINDOW, Breaker, outages
from dataplatform_tests.disks import read_only

PLACE = "the landing s3://b/l"


class Source:
    """One that gives answers or not, asked by as many processes as there are breakers."""

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.asked, self.is_up = path, 1_000_000.0, 0, False

    def process(self) -> Breaker:
        """What another process has: a breaker of its own on the same file."""
        return Breaker(self.path, PLACE, clock=lambda: self.now, pause=self.wait)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def _answer(self) -> None:
        self.asked += 1
        if not self.is_up:
            raise TransientError("connection refused")

    def ask(self, breaker: Breaker) -> bool:
        """Whether it was asked at all."""
        try:
            with breaker.asking():
                self._answer()
        except SourceDownError:
            return False
        except TransientError:
            pass
        return True


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "sources" / "one.json")


def test_a_source_that_is_down_is_asked_three_times_by_however_many_processes(source: Source) -> None:
    for _ in range(100):
        source.ask(source.process())
    assert source.asked == MOST_ASKS == 3


def test_in_no_minute_of_an_hour_is_it_asked_more_than_three_times(source: Source) -> None:
    processes = [source.process() for _ in range(4)]
    asked_at: list[float] = []
    while source.now < 1_000_000 + 3600:
        asked_at += [source.now for breaker in processes if source.ask(breaker)]
        source.wait(0.7)
    assert max(sum(start <= at < start + 60 for at in asked_at) for start in asked_at) == 3
    assert len(asked_at) <= 3 * 61


def test_nobody_is_asked_and_the_error_says_since_when_why_and_when_again(source: Source) -> None:
    for _ in range(3):
        source.ask(source.process())
        source.wait(2)
    with pytest.raises(SourceDownError) as caught, source.process().asking():
        raise AssertionError("asked")
    assert (caught.value.since.timestamp(), caught.value.again_at.timestamp()) == (1_000_000, 1_000_000 + WINDOW)
    assert str(caught.value) == (
        f"{PLACE} is down since 1970-01-12 13:46:40 UTC (connection refused); it is asked again from 13:47:40 UTC"
    )


def test_one_answer_is_enough_for_everybody_to_ask_again(source: Source) -> None:
    first, second = source.process(), source.process()
    while source.ask(first):
        pass
    assert not source.ask(second)
    source.now, source.is_up = source.now + WINDOW, True
    assert all(source.ask(breaker) for breaker in (first, second) * 50)
    assert outages(source.path.parent) == []


def test_an_answer_that_is_no_counts_as_an_answer(source: Source) -> None:
    for _ in range(9):
        with pytest.raises(FileNotFoundError), source.process().asking():
            raise FileNotFoundError("no such object")
    assert source.ask(source.process())


def test_a_failure_now_and_then_stops_nobody(source: Source) -> None:
    breaker = source.process()
    for number in range(50):
        source.is_up = number % 3 == 0
        assert source.ask(breaker)


def test_while_answers_come_no_file_is_touched(source: Source) -> None:
    breaker, source.is_up = source.process(), True
    source.ask(breaker)
    written = source.path.stat().st_mtime_ns
    for _ in range(100):
        source.ask(breaker)
        source.wait(FRESH / 300)
    assert source.path.stat().st_mtime_ns == written


def test_whoever_comes_fourth_waits_for_the_first_answer(source: Source) -> None:
    """Nothing is known yet, and three are on their way: they may well be answered."""
    asking = [source.process().asking() for _ in range(3)]
    for each in asking:
        each.__enter__()
    fourth, source.is_up = source.process(), True

    def answer(_seconds: float) -> None:
        asking[0].__exit__(None, None, None)

    fourth._pause = answer
    assert source.ask(fourth)


def test_a_source_that_keeps_everybody_waiting_counts_as_down_after_a_while(source: Source) -> None:
    asking = [source.process().asking() for _ in range(3)]  # kept, or they would end
    for each in asking:
        each.__enter__()
    before = source.now
    assert not source.ask(source.process())
    assert PATIENCE <= source.now - before < PATIENCE + 1


def test_an_ask_whose_process_was_killed_is_forgotten_after_a_minute(source: Source) -> None:
    asking = [source.process().asking() for _ in range(3)]
    for each in asking:
        each.__enter__()
    source.now, source.is_up = source.now + WINDOW, True
    assert source.ask(source.process())


def test_a_clock_that_was_set_back_keeps_nobody_waiting(source: Source) -> None:
    while source.ask(source.process()):
        pass
    source.now, source.is_up = source.now - 86_400, True
    assert source.ask(source.process())


def damage(path: Path) -> None:
    path.write_text('{"place": "half', encoding="utf-8")


@pytest.mark.parametrize("lose", [damage, Path.unlink])
def test_a_lost_or_damaged_file_costs_three_asks(source: Source, lose: Callable[[Path], None]) -> None:
    while source.ask(source.process()):
        pass
    lose(source.path)
    for _ in range(9):
        source.ask(source.process())
    assert source.asked == 2 * MOST_ASKS


def test_where_nothing_can_be_written_each_process_counts_for_itself(source: Source) -> None:
    source.path.parent.mkdir()
    with read_only(source.path.parent):
        breaker = source.process()
        for _ in range(9):
            source.ask(breaker)
        assert source.asked == MOST_ASKS
        assert re.search("connection refused", str(breaker.outage()))


def test_threads_that_ask_at_once_are_counted_one_by_one(tmp_path: Path) -> None:
    """On the real clock, each with a breaker of its own as processes have."""
    source, path = Source(tmp_path / "x.json"), tmp_path / "sources" / "one.json"
    threads = [threading.Thread(target=lambda: source.ask(Breaker(path, PLACE))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert source.asked == MOST_ASKS


def test_who_is_down_can_be_looked_up(source: Source) -> None:
    source.ask(source.process())
    (found,) = outages(source.path.parent, clock=lambda: source.now)
    assert (found.place, found.why) == (PLACE, "connection refused")
