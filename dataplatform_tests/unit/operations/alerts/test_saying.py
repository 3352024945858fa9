"""What is said, how it is signed, and what is never said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dataplatform.operations.alerts.message import Event, Links, problem_message
from dataplatform.operations.alerts.problem import ABOUT, Kind, Problem, anchor, problem
from dataplatform.operations.alerts.webhooks import _escaped, _seconds, sign, verify
from dataplatform.operations.scrub import scrub

NOW = datetime(2011, 11, 30, 12, 0, tzinfo=UTC)
LINKS = Links("http://ui:3000", "docs/runbook.md")
KEY = "a-key-of-a-test"


def test_a_fingerprint_is_that_of_the_problem_and_not_of_its_days() -> None:
    first = problem(Kind.RULE_FAILED, "cleaned.orders", rule="amount", partitions=("2011-11-01",), found="1 row")
    later = problem(Kind.RULE_FAILED, "cleaned.orders", rule="amount", partitions=("2011-11-02",), found="2 rows")
    assert first.fingerprint == later.fingerprint
    others = {("rule_warned", "amount"), ("rule_failed", "price")}
    assert first.fingerprint not in {
        problem(Kind(kind), "cleaned.orders", rule=rule).fingerprint for kind, rule in others
    }


def test_a_message_has_all_that_its_reader_needs() -> None:
    found = problem(
        Kind.RULE_FAILED, "cleaned.orders", partitions=("2011-11-01", "2011-11-02"), rule="amount:minimum",
        expected="amount >= 0", found="3 of 9 rows", owner="sales@example.com", run_id="r-1", is_table=True,
    )  # fmt: skip
    assert problem_message(found, Event.PROBLEM, NOW, LINKS).text.splitlines() == [
        "[error] cleaned.orders: a rule failed, nothing was published (amount:minimum)",
        "table:       cleaned.orders",
        "partitions:  2 partitions: 2011-11-01, 2011-11-02",
        "rule:        amount:minimum",
        "expected:    amount >= 0",
        "found:       3 of 9 rows",
        "owner:       sales@example.com",
        "since:       2011-11-30 12:00 UTC",
        "run:         http://ui:3000/runs/r-1",
        "page:        http://ui:3000/assets/cleaned/orders",
        "runbook:     docs/runbook.md#a-slice-is-blocked",
        f"fingerprint: {found.fingerprint}",
    ]


def test_a_problem_survives_the_outbox_as_it_is() -> None:
    found = problem(Kind.DAEMON_DEAD, "daemon SENSOR", found="none", partitions=("a", "b"), grace=3.0)
    assert Problem.from_json(found.to_json(), ["a", "b"]) == found


def test_anchors_are_those_of_rendered_pages() -> None:
    assert anchor("A key is held twice (job `daily_checks`)") == "a-key-is-held-twice-job-daily_checks"
    assert ABOUT.keys() == set(Kind)


def test_a_signature_is_good_for_its_body_and_its_time_alone() -> None:
    stamp, body = str(int(NOW.timestamp())), b'{"id": "1"}'
    headers = {"X-Dataplatform-Timestamp": stamp, "X-Dataplatform-Signature": sign(KEY, stamp, body)}
    assert verify(KEY, headers, body, NOW)
    assert not verify(KEY, headers, body + b" ", NOW), "changed"
    assert not verify("another", headers, body, NOW), "forged"
    assert not verify(KEY, headers, body, NOW + timedelta(minutes=6)), "replayed"
    later = {**headers, "X-Dataplatform-Timestamp": str(int(stamp) + 360)}
    assert not verify(KEY, later, body, NOW + timedelta(minutes=6)), "replayed with a new time"
    assert not verify(KEY, {}, body, NOW)


def test_a_value_can_neither_mention_a_channel_nor_leave_its_block() -> None:
    assert _escaped("<!channel> a & b ```") == "&lt;!channel&gt; a &amp; b '''"


@pytest.mark.parametrize(("text", "seconds"), [("120", 120), ("999999", 21600), ("soon", 0), ("", 0)])
def test_retry_after_is_bounded(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cannot open postgresql://me:pw-1@db:5432/x", "cannot open postgresql://***@db:5432/x"),
        ("POST https://hooks.slack.com/services/T0/B0/xyz failed", "POST https://hooks.slack.com/… failed"),
        ("host=db password=hunter2 user=me", "host=db password=*** user=me"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("Authorization: Bearer abcdefghijk", "Authorization: ***"),
        ("two\nlines", "two lines"),
        ("2 of 4940 rows otherwise, such as x", "2 of 4940 rows otherwise, such as x"),
    ],
)
def test_secrets_are_struck_out_and_the_rest_stays(text: str, said: str) -> None:
    assert scrub(text, environ={}) == said


def test_what_a_secret_variable_holds_is_struck_out_wherever_it_stands() -> None:
    environ = {"MAIL_PASSWORD": "correct horse", "HOME": "/home/me-and-mine"}
    assert scrub("it was correct horse in /home/me-and-mine", environ=environ) == "it was *** in /home/me-and-mine"
    assert len(scrub("x" * 20_000, environ={})) == 500
