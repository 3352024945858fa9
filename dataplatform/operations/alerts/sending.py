"""Sending one message to one receiver, and saying in our own words why it failed.

Texts of libraries and servers are not passed on: they may repeat an address, and a webhook's address is its secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.setting import Mail, Slack, Variable

if TYPE_CHECKING:
    from dataplatform.operations.alerts.message import Message
    from dataplatform.operations.alerts.setting import Receiver

SECONDS = 5.0
"""How long a receiver may take to connect, and again for each answer. The telling has a limit of its own."""


class UndeliveredError(Exception):
    """A receiver did not accept a message. `reason` names no address; `is_permanent`: waiting alone mends nothing."""

    def __init__(self, reason: str, *, is_permanent: bool = False, retry_after: float = 0.0) -> None:
        self.reason, self.is_permanent, self.retry_after = reason, is_permanent, retry_after
        super().__init__(reason)


def send(
    receiver: Receiver, message: Message, timeout: float = SECONDS, environ: Mapping[str, str] = os.environ
) -> str:
    """Returns when the receiver has accepted the message; raises UndeliveredError when it has not.

    Gives what is nevertheless wrong with the receiver, which is usually nothing.
    """
    if isinstance(receiver, Mail):
        from dataplatform.operations.alerts.mail import send_mail

        return send_mail(receiver, message, timeout, environ)
    from dataplatform.operations.alerts.webhooks import post_slack, post_webhook

    if isinstance(receiver, Slack):
        post_slack(value_of(receiver.url_env, environ), message, timeout)
        return ""
    secret = None if receiver.secret_env is None else value_of(receiver.secret_env, environ)
    post_webhook(value_of(receiver.url_env, environ), secret, message, timeout)
    return ""


def value_of(variable: Variable, environ: Mapping[str, str]) -> str:
    """What the variable holds; UndeliveredError names the variable that is not set."""
    value = environ.get(variable, "")
    if not value:
        raise UndeliveredError(f"the environment variable {variable} is not set", is_permanent=True)
    return value
