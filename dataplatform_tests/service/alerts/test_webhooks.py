"""What arrives at a webhook, and that its address, which is a secret, is written nowhere."""

from __future__ import annotations

import logging

import pytest

from dataplatform.operations.alerts.problem import Kind, problem
from dataplatform.operations.alerts.webhooks import verify
from dataplatform.settings import utc_now
from dataplatform_tests.receiving import HttpReceiver, answers
from dataplatform_tests.service.alerts.conftest import MakeBench

SIGNED = "receivers: {pager: {kind: webhook, url_env: PAGER, secret_env: PAGER_KEY}}\ndefault: [pager]\n"
SLACK = "receivers: {pager: {kind: slack, url_env: PAGER}}\ndefault: [pager]\n"
KEY = "a-key-of-a-test"
FOUND = problem(Kind.RULE_FAILED, "cleaned.orders", rule="amount", found="<!channel> & 3 rows", is_table=True)


def test_a_signed_message_can_be_verified_and_a_changed_one_not(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    make_bench(SIGNED, PAGER=receiver.url, PAGER_KEY=KEY).tick(FOUND)
    (request,) = receiver.requests
    assert verify(KEY, request.headers, request.body, utc_now())
    assert not verify(KEY, request.headers, request.body.replace(b"3 rows", b"0 rows"), utc_now())
    assert request.headers["X-Dataplatform-Id"] == request.message["id"]


def test_slack_gets_markup_in_which_values_mean_nothing(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    make_bench(SLACK, PAGER=receiver.url).tick(FOUND)
    ((text,),) = receiver.told("text")
    assert text.startswith("*[error] cleaned.orders: a rule failed, nothing was published (amount)*\n```")
    assert "&lt;!channel&gt; &amp; 3 rows" in text


@pytest.mark.parametrize("status", [200, 404])
def test_addresses_and_keys_are_in_no_log_message_or_file(
    make_bench: MakeBench, receiver: HttpReceiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Pain 19: also where everything is logged."""
    receiver.behaviour = answers(status)
    bench = make_bench(SIGNED, PAGER=receiver.url, PAGER_KEY=KEY)
    with caplog.at_level(logging.DEBUG):
        told = bench.tick(FOUND)
    written = b"".join(path.read_bytes() for path in bench.settings.data_dir.rglob("*") if path.is_file())
    said = f"{caplog.text} {told} {list(told.lines())} {bench.teller.setting} {written!r} {receiver.requests[0].body!r}"
    for secret in ("path-that-is-a-secret", KEY):
        assert secret not in said
