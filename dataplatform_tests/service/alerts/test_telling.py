"""Telling real receivers: once, to the right one, at least once over restarts, within bounds, and never in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dataplatform.operations.alerts.outbox import open_outbox
from dataplatform.operations.alerts.problem import Kind, Problem, problem
from dataplatform.settings import CHECKOUT
from dataplatform_tests.receiving import Behaviour, HttpReceiver, answers, drips, drops, hangs, http_receiver
from dataplatform_tests.service.alerts.conftest import START, Bench, MakeBench

ONE = """
receivers:
  sales: {kind: webhook, url_env: SALES}
default: [sales]
"""
TWO = """
receivers:
  sales: {kind: webhook, url_env: SALES}
  stock: {kind: webhook, url_env: STOCK}
routes:
  - {owner: sales@example.com, to: [sales]}
  - {owner: stock@example.com, to: [stock], severity: error}
default: [stock]
"""
DAYS = tuple(f"2011-11-{day:02d}" for day in range(1, 31))


def rule(*days: str, kind: Kind = Kind.RULE_FAILED, name: str = "amount:minimum", **details: Any) -> Problem:
    told: dict[str, Any] = {"subject": "cleaned.orders", "owner": "sales@example.com", "is_table": True, **details}
    return problem(kind, partitions=days or DAYS[:1], rule=name, expected="amount >= 0", found="3 of 9 rows", **told)


def test_a_problem_is_told_once_over_three_ticks(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    for _ in range(3):
        bench.tick(rule())
    assert receiver.told("event", "kind", "table", "partitions", "rule", "expected", "found", "owner") == [
        (
            "problem", "rule_failed", "cleaned.orders", ["2011-11-01"], "amount:minimum", "amount >= 0",
            "3 of 9 rows", "sales@example.com",
        )
    ]  # fmt: skip


def test_three_hundred_days_of_one_bad_rule_are_one_message_with_their_number(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    """Pain 16: no flood."""
    days = [f"{2010 + month // 12}-{month % 12 + 1:02d}-{day:02d}" for month in range(12) for day in range(1, 26)]
    bench = make_bench(ONE, SALES=receiver.url)
    bench.tick(rule(*days))
    ((count, text),) = receiver.told("partition_count", "text")
    assert count == 300
    assert "300 partitions: 2010-01-01, 2010-01-02, 2010-01-03, 2010-01-04, 2010-01-05 and 295 more" in text


def test_it_is_told_when_it_is_over_and_only_once(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    bench.tick(rule())
    for _ in range(3):
        bench.tick()
    assert receiver.told("event") == [("problem",), ("resolved",)]
    bench.tick(rule())
    assert receiver.told("event")[2:] == [("problem",)], "what comes back is told again"


def test_who_was_not_told_of_a_problem_is_not_told_that_it_is_over(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    receiver.behaviour = answers(500)
    bench = make_bench(ONE, SALES=receiver.url)
    bench.tick(rule())
    assert len(receiver.requests) == 1
    receiver.behaviour = answers(200)
    bench.tick(after=timedelta(hours=2))
    assert len(receiver.requests) == 1


def test_the_owner_of_the_contract_is_told_and_nobody_else(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    bench = make_bench(TWO, SALES=receiver.url, STOCK=other.url)
    bench.tick(
        rule(),
        rule(subject="cleaned.stock", owner="stock@example.com"),
        rule(subject="cleaned.goods", owner="goods@example.com"),
        problem(Kind.DAEMON_DEAD, "daemon SENSOR"),
    )
    assert receiver.told("subject") == [("cleaned.orders",)]
    assert sorted(other.told("subject")) == [("cleaned.goods",), ("cleaned.stock",), ("daemon SENSOR",)]


def test_errors_and_warnings_are_told_apart_and_a_route_can_leave_warnings_out(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    bench = make_bench(TWO, SALES=receiver.url, STOCK=other.url)
    both = [rule(), rule(kind=Kind.RULE_WARNED, name="amount:range")]
    bench.tick(*both, *(replace(each, subject="cleaned.stock", owner="stock@example.com") for each in both))
    assert receiver.told("kind", "severity") == [("rule_failed", "error"), ("rule_warned", "warning")]
    assert other.told("kind", "severity") == [("rule_failed", "error")]


def test_partitions_that_join_a_problem_are_told_at_most_once_an_hour(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    bench.tick(rule(*DAYS[:1]))
    for number in range(2, 6):
        bench.tick(rule(*DAYS[:number]), after=timedelta(minutes=10))
    assert receiver.told("event") == [("problem",)]
    bench.tick(rule(*DAYS[:5]), after=timedelta(minutes=30))
    assert receiver.told("event", "partition_count") == [("problem", 1), ("more", 5)]
    assert "5 partitions, 4 of them new: " in receiver.messages[1]["text"]


def test_a_problem_that_stays_is_recalled_once_a_day(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    for _ in range(50):
        bench.tick(rule(), after=timedelta(hours=1))
    assert receiver.told("event") == [("problem",), ("reminder",), ("reminder",)]


def test_a_silenced_problem_is_told_afterwards_if_it_still_stands(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    receiver.behaviour = answers(503)
    bench.tick(rule())
    receiver.behaviour = answers(200)
    with open_outbox(bench.settings.data_dir) as outbox:
        assert outbox.silence(rule().fingerprint, bench.now.timestamp() + 7200)
        assert not outbox.silence("another", 0)
    bench.tick(rule(), after=timedelta(hours=1))
    assert len(receiver.requests) == 1
    bench.tick(rule(), after=timedelta(hours=1, minutes=5))
    assert receiver.told("event") == [("problem",), ("problem",)]


def test_more_than_the_limit_is_held_back_and_its_number_told_in_one_summary(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(ONE + "limits: {messages_per_hour: 3}", SALES=receiver.url)
    warnings = [rule(kind=Kind.RULE_WARNED, name=f"warning_{n}") for n in range(4)]
    errors = [rule(name=f"error_{n}") for n in range(4)]
    told = bench.tick(*warnings, *errors)
    assert (told.sent, told.held) == ({"sales": 3}, {"sales": 5})
    assert {severity for (severity,) in receiver.told("severity")} == {"error"}, "the worst first"
    bench.tick(*warnings, *errors)
    assert len(receiver.requests) == 3
    bench.tick(*warnings[:2], *errors, after=timedelta(hours=1))
    ((event, held, over, title),) = receiver.told("event", "held_back", "over_before_told", "title")[3:]
    assert (event, held, over) == ("summary", 5, 2)
    assert title == "5 messages held back by the rate limit"
    assert "2 problems came and went meanwhile" in receiver.messages[3]["text"]
    bench.tick(*warnings[:2], *errors)
    assert len(receiver.requests) == 4, "a summary tells what is in it"
    bench.tick(after=timedelta(hours=2))
    assert receiver.told("event")[4:] == [("resolved",)] * 3
    bench.tick(after=timedelta(hours=2))
    assert receiver.told("event", "held_back")[7:] == [("summary", 3)], "six are over, three of them in a summary"


def test_an_unreachable_receiver_is_reported_through_another(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    receiver.behaviour = answers(404)
    bench = make_bench(TWO, SALES=receiver.url, STOCK=other.url)
    told = bench.tick(rule())
    assert told.failed == {"sales": "it answered 404"}
    ((kind, subject, found),) = other.told("kind", "subject", "found")
    assert (kind, subject) == ("receiver_unreachable", "receiver sales")
    assert found == "it answered 404, 1 time in a row; 1 message wait for it"
    receiver.behaviour = answers(200)
    bench.tick(rule(), after=timedelta(hours=2))
    assert other.told("event", "subject")[1:] == [("resolved", "receiver sales")]
    assert receiver.told("event", "subject")[1:] == [("problem", "cleaned.orders")], "nothing was lost"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answers(500), "it answered 500"),
        (answers(302, Location="http://127.0.0.1:1/"), "it answered 302"),
        (drops, "it broke off the connection"),
        (answers(429, Retry_After="120"), "it answered 429"),
    ],
    ids=["500", "302", "drops", "429"],
)
def test_what_is_not_accepted_is_sent_again_until_it_is(
    make_bench: MakeBench, receiver: HttpReceiver, behaviour: Behaviour, reason: str
) -> None:
    receiver.behaviour = behaviour
    bench = make_bench(ONE, SALES=receiver.url)
    assert bench.tick(rule()).failed == {"sales": reason}
    receiver.behaviour = answers(204)
    assert bench.tick(rule(), after=timedelta(minutes=3)).sent == {"sales": 1}
    assert bench.tick(rule(), after=timedelta(minutes=3)).sent == {}
    (first, second) = receiver.told("id")
    assert first == second, "a receiver can tell that it is the same message"


def test_a_receiver_that_fails_is_asked_ever_more_rarely(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    receiver.behaviour = answers(500)
    bench = make_bench(ONE, SALES=receiver.url)
    asked = []
    for minute in range(1, 181):
        before = len(receiver.requests)
        bench.tick(rule())
        asked += [minute] * (len(receiver.requests) - before)
    assert asked == [1, 2, 3, 5, 9, 17, 33, 65, 125]


def test_retry_after_is_obeyed(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    receiver.behaviour = answers(429, Retry_After="1800")
    bench = make_bench(ONE, SALES=receiver.url)
    for _ in range(29):
        bench.tick(rule())
    assert len(receiver.requests) == 1
    bench.tick(rule(), after=timedelta(minutes=3))
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("behaviour", [hangs, drips])
def test_a_receiver_that_hangs_holds_up_neither_the_others_nor_whoever_tells(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver, behaviour: Behaviour
) -> None:
    """Pain 20: a sensor ends long before Dagster's limit of 60 seconds, whatever receivers do."""
    receiver.behaviour = behaviour
    bench = make_bench(TWO, SALES=receiver.url, STOCK=other.url)
    bench.budget, bench.timeout = 1.0, 30.0
    started = time.monotonic()
    told = bench.tick(rule(), rule(subject="cleaned.stock", owner="stock@example.com"))
    assert time.monotonic() - started < 3
    assert told.sent == {"stock": 1}
    assert told.failed == {"sales": "it did not answer within 1 s"}


def test_nothing_listens_there(make_bench: MakeBench) -> None:
    with http_receiver() as gone:
        pass
    assert make_bench(ONE, SALES=gone.url).tick(rule()).failed == {"sales": "it cannot be connected to"}


@pytest.mark.parametrize("value", ["", "not an address", "ftp://127.0.0.1/x"])
def test_a_variable_that_holds_no_address_is_named_and_not_its_value(make_bench: MakeBench, value: str) -> None:
    (reason,) = make_bench(ONE, SALES=value).tick(rule()).failed.values()
    assert reason in ("the environment variable SALES is not set", "the variable holds no address of a web page")


def test_two_processes_at_once_do_not_tell_twice(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    (bench.settings.data_dir / "alerts").mkdir(parents=True)
    with bench.teller._alone():
        assert bench.tick(rule()).is_elsewhere
    assert receiver.requests == []
    assert bench.tick(rule()).sent == {"sales": 1}


def test_a_receiver_that_was_taken_out_of_the_file_is_forgotten(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    bench = make_bench(TWO, SALES=receiver.url, STOCK=other.url)
    receiver.behaviour = answers(404)
    bench.tick(rule())
    bench = replace(make_bench(ONE.replace("sales", "stock").replace("SALES", "STOCK"), STOCK=other.url), now=bench.now)
    bench.tick(rule())
    assert other.told("event", "subject")[1:] == [("problem", "cleaned.orders"), ("resolved", "receiver sales")]


TELL = """
import json, sys
from datetime import UTC, datetime
from dataplatform.operations.alerts.problem import Kind, problem
from dataplatform.operations.alerts.telling import Teller
from dataplatform.settings import Settings

teller = Teller.load(Settings.load(data_dir=sys.argv[1], landing=sys.argv[2], alerts=sys.argv[3]), is_patient=False)
found = problem(Kind.RULE_FAILED, "cleaned.orders", rule="amount:minimum", is_table=True)
now = datetime(2011, 11, 30, 12, 0, tzinfo=UTC)
print(json.dumps(teller.tell(now, lambda outbox: outbox.observe("tables", [found], now.timestamp())).sent))
"""


def tell_in_a_process(bench: Bench) -> subprocess.Popen[str]:
    settings = bench.settings
    command = [sys.executable, "-c", TELL, str(settings.data_dir), str(settings.landing), str(settings.alerts)]
    environ = {**os.environ, **bench.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


def test_a_message_that_was_sent_and_not_marked_when_the_process_died_is_sent_again(
    make_bench: MakeBench, receiver: HttpReceiver, tmp_path: Path
) -> None:
    bench = make_bench(ONE, SALES=receiver.url)
    running: list[subprocess.Popen[str]] = []

    def kills(handler: object) -> None:
        """It has the message; whoever sent it dies before it can know."""
        os.kill(running[0].pid, signal.SIGKILL)
        running[0].wait()
        drops(handler)  # type: ignore[arg-type]

    receiver.behaviour = kills
    running.append(tell_in_a_process(bench))
    assert running[0].communicate()[0] == ""
    assert running[0].returncode == -signal.SIGKILL
    assert receiver.told("event") == [("problem",)]
    receiver.behaviour = answers(200)
    for sent in ('{"sales": 1}', "{}"):
        output, _ = tell_in_a_process(bench).communicate()
        assert output.strip() == sent
    first, second = receiver.told("id", "event", "subject")
    assert first == second
    assert bench.now == START
