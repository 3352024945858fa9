"""Mail: one plain message to the receiver's addresses, over an encrypted connection wherever there is one."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from dataplatform.operations.alerts.sending import UndeliveredError, value_of
from dataplatform.operations.alerts.webhooks import ID
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    from dataplatform.operations.alerts.message import Message
    from dataplatform.operations.alerts.setting import Mail


def send_mail(receiver: Mail, message: Message, timeout: float, environ: Mapping[str, str]) -> str:
    """Returns when the server has accepted the mail for at least one address; raises UndeliveredError.

    Gives how many addresses it refused, if any.
    """
    login = None
    if receiver.user_env is not None and receiver.password_env is not None:
        login = (value_of(receiver.user_env, environ), value_of(receiver.password_env, environ))
    try:
        with _connected(receiver, timeout) as server:
            _sign_in(server, receiver, login)
            refused = server.send_message(_mail(receiver, message))
    except (smtplib.SMTPException, OSError) as error:
        raise _undelivered(error, timeout) from None
    return f"the mail server refused {len(refused)} of {len(receiver.to)} addresses" if refused else ""


def _connected(receiver: Mail, timeout: float) -> smtplib.SMTP:
    if receiver.security == "tls":
        return smtplib.SMTP_SSL(receiver.host, receiver.port, timeout=timeout, context=_context(receiver))
    return smtplib.SMTP(receiver.host, receiver.port, timeout=timeout)


def _context(receiver: Mail) -> ssl.SSLContext:
    """Checks the server's certificate, against the receiver's own authority where it names one."""
    return ssl.create_default_context(cafile=None if receiver.ca_file is None else str(receiver.ca_file))


def _sign_in(server: smtplib.SMTP, receiver: Mail, login: tuple[str, str] | None) -> None:
    server.ehlo_or_helo_if_needed()
    offered = server.has_extn("starttls")
    if receiver.security == "starttls" or (receiver.security == "auto" and offered):
        if not offered:
            raise UndeliveredError("the mail server offers no encryption, which the receiver asks for")
        server.starttls(context=_context(receiver))
        server.ehlo()
    elif receiver.security == "auto" and login is not None:
        raise UndeliveredError("the mail server offers no encryption, and a password is not sent without it")
    if login is not None:
        server.login(*login)


def _mail(receiver: Mail, message: Message) -> EmailMessage:
    mail = EmailMessage()
    # a header is one line, whatever a value brought along
    mail["Subject"] = " ".join(message.subject.split())
    mail["From"] = receiver.sender
    mail["To"] = ", ".join(receiver.to)
    mail["Date"] = format_datetime(utc_now())
    mail["Message-ID"] = f"<{message.id}@dataplatform>"
    mail["Auto-Submitted"] = "auto-generated"
    mail[ID] = message.id
    mail.set_content(message.text)
    return mail


def _undelivered(error: Exception, timeout: float) -> UndeliveredError:
    if isinstance(error, TimeoutError):
        return UndeliveredError(f"the mail server did not answer within {timeout:g} s")
    if isinstance(error, ssl.SSLError):
        return UndeliveredError("the mail server's certificate cannot be trusted", is_permanent=True)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return UndeliveredError("the mail server refused user and password", is_permanent=True)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = {code for code, _ in error.recipients.values()}
        is_permanent = all(code >= 500 for code in codes)
        return UndeliveredError("the mail server refused every address", is_permanent=is_permanent)
    if isinstance(error, smtplib.SMTPResponseException):
        is_permanent = error.smtp_code >= 500
        return UndeliveredError(f"the mail server answered {error.smtp_code}", is_permanent=is_permanent)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return UndeliveredError("the mail server broke off the connection")
    if isinstance(error, smtplib.SMTPException):
        return UndeliveredError(f"the mail server cannot be talked to ({type(error).__name__})")
    return UndeliveredError("the mail server cannot be connected to")
