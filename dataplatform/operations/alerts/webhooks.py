"""Webhooks: Slack's form, and JSON of our own, signed so that a receiver can tell what is ours and what is new.

The signature is Stripe's and Slack's scheme: HMAC-SHA256 over the time and the body, so that neither can be changed
and an old message cannot be sent again. `verify` is what a receiver does, in Python.
"""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.sending import UndeliveredError
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    import httpx

    from dataplatform.operations.alerts.message import Message

ID, TIMESTAMP, SIGNATURE = "X-Dataplatform-Id", "X-Dataplatform-Timestamp", "X-Dataplatform-Signature"
TOLERANCE_SECONDS = 300
_SLACK_LONGEST = 3000
_MOST_RETRY_AFTER = 6 * 3600.0
_TRANSIENT = {408, 425, 429}


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature's header: `v1=` and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether a message is signed with `secret` and not older than five minutes.

    A receiver also remembers the ids of these five minutes, and takes each once.
    """
    timestamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not timestamp.isdecimal() or abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    return hmac.compare_digest(given, sign(secret, timestamp, body))


def post_webhook(url: str, secret: str | None, message: Message, timeout: float) -> None:
    """Posts the message as JSON; raises UndeliveredError."""
    now = utc_now()
    body = json.dumps(message.to_dict(now), ensure_ascii=False).encode()
    timestamp = str(int(now.timestamp()))
    headers = {ID: message.id, TIMESTAMP: timestamp}
    if secret is not None:
        headers[SIGNATURE] = sign(secret, timestamp, body)
    _post(url, body, headers, timeout)


def post_slack(url: str, message: Message, timeout: float) -> None:
    """Posts the message as Slack's markup; raises UndeliveredError."""
    title, _, rest = message.text.partition("\n")
    text = f"*{_escaped(title)}*" + (f"\n```{_escaped(rest)}```" if rest else "")
    if len(text) > _SLACK_LONGEST:
        text = f"{text[: _SLACK_LONGEST - 4]}…```"
    _post(url, json.dumps({"text": text}).encode(), {ID: message.id}, timeout)


def _escaped(text: str) -> str:
    """Slack's three control characters: a value must not be able to mention a channel or to make a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> None:
    import httpx

    _keep_addresses_out_of_logs()
    given = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "dataplatform", **headers}
    try:
        # no redirects: where a message goes is decided by the setting, not by who answers
        with httpx.Client(timeout=timeout) as client, client.stream("POST", url, content=body, headers=given) as answer:
            status, wait = answer.status_code, answer.headers.get("Retry-After", "")
    except httpx.TimeoutException:
        raise UndeliveredError(f"it did not answer within {timeout:g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise UndeliveredError("the variable holds no address of a web page", is_permanent=True) from None
    except httpx.HTTPError as error:
        raise UndeliveredError(_failure(error)) from None
    if not 200 <= status < 300:
        is_permanent = status < 500 and status not in _TRANSIENT
        raise UndeliveredError(f"it answered {status}", is_permanent=is_permanent, retry_after=_seconds(wait))


def _failure(error: httpx.HTTPError) -> str:
    import httpx

    if isinstance(error, httpx.ConnectError):
        return "it cannot be connected to"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return "it broke off the connection"
    return f"it cannot be talked to ({type(error).__name__})"


def _seconds(retry_after: str) -> float:
    """`Retry-After` is a number of seconds or a date."""
    if retry_after.isdecimal():
        return min(float(retry_after), _MOST_RETRY_AFTER)
    try:
        wanted = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
    return min(max((wanted - utc_now()).total_seconds(), 0.0), _MOST_RETRY_AFTER)


class _WithoutAddresses(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """The client logs every request with its address, and a webhook's address is its secret."""
        return not record.getMessage().startswith("HTTP Request:")


_FILTER = _WithoutAddresses()


def _keep_addresses_out_of_logs() -> None:
    logging.getLogger("httpx").addFilter(_FILTER)  # the same filter is added once, however often this is called
