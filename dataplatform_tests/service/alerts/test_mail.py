"""Mail through a real server: encrypted where it can be, signed in, and refused for reasons that people can act on."""

from __future__ import annotations

import email
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dataplatform.operations.alerts.problem import Kind, problem
from dataplatform_tests.service.alerts.conftest import MakeBench

USER, PASSWORD = "platform", "a-password-of-a-test"
FOUND = problem(Kind.RULE_FAILED, "cleaned.orders", rule="amount", found="3 rows\nBcc: everybody@example.com")


class Box:
    """Keeps what arrives, and whether it came encrypted and signed in."""

    def __init__(self) -> None:
        self.mails: list[tuple[Message, bool, bool]] = []
        self.refused: dict[str, str] = {}
        self.answer = "250 OK"

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - same
        content = envelope.content
        assert isinstance(content, bytes)
        if self.answer.startswith("250"):
            self.mails.append((email.message_from_bytes(content), session.ssl is not None, bool(session.authenticated)))
        return self.answer


def sign_in(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine's address and its key, made for this test alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.fixture
def box() -> Box:
    return Box()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mailing:
    """Starts servers, and gives the file of receivers that reaches them."""

    def __init__(self, box: Box, certificate: Path) -> None:
        self.box, self.certificate = box, certificate
        self._running: list[Controller] = []

    def serve(self, **options: Any) -> int:
        controller = Controller(self.box, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        self._running.append(controller)
        return controller.port

    def setting(self, port: int, *, login: bool = False, trusted: bool = True, security: str = "auto") -> str:
        keys = "user_env: MAIL_USER, password_env: MAIL_PASSWORD, " if login else ""
        keys += f"ca_file: {self.certificate}, " if trusted else ""
        return (
            f"receivers: {{mail: {{kind: mail, host: 127.0.0.1, port: {port}, security: {security}, {keys}"
            "sender: data@example.com, to: [a@example.com, b@example.com]}}\ndefault: [mail]\n"
        )

    def stop(self) -> None:
        for controller in self._running:
            controller.stop()


@pytest.fixture
def mailing(box: Box, certificate: Path) -> Iterator[Mailing]:
    made = Mailing(box, certificate)
    yield made
    made.stop()


def test_a_mail_says_what_is_wrong_and_a_value_cannot_become_a_header(
    make_bench: MakeBench, mailing: Mailing, box: Box
) -> None:
    assert make_bench(mailing.setting(mailing.serve())).tick(FOUND).sent == {"mail": 1}
    ((mail, encrypted, _),) = box.mails
    assert mail["Subject"] == "[error] cleaned.orders: a rule failed, nothing was published (amount)"
    assert (mail["From"], mail["To"], mail["Bcc"]) == ("data@example.com", "a@example.com, b@example.com", None)
    assert mail["X-Dataplatform-Id"]
    assert not encrypted


def test_what_the_server_offers_is_used_and_the_password_goes_encrypted(
    make_bench: MakeBench, mailing: Mailing, box: Box, context: ssl.SSLContext
) -> None:
    port = mailing.serve(tls_context=context, authenticator=sign_in, auth_required=True)
    bench = make_bench(mailing.setting(port, login=True), MAIL_USER=USER, MAIL_PASSWORD=PASSWORD)
    assert bench.tick(FOUND).sent == {"mail": 1}
    assert [each[1:] for each in box.mails] == [(True, True)]


def test_a_connection_can_be_encrypted_from_the_start(
    make_bench: MakeBench, mailing: Mailing, box: Box, context: ssl.SSLContext
) -> None:
    port = mailing.serve(ssl_context=context)
    assert make_bench(mailing.setting(port, security="tls")).tick(FOUND).sent == {"mail": 1}
    assert len(box.mails) == 1


def test_a_password_is_never_sent_in_the_clear(make_bench: MakeBench, mailing: Mailing) -> None:
    port = mailing.serve(authenticator=sign_in, auth_require_tls=False)
    bench = make_bench(mailing.setting(port, login=True), MAIL_USER=USER, MAIL_PASSWORD=PASSWORD)
    (reason,) = bench.tick(FOUND).failed.values()
    assert reason == "the mail server offers no encryption, and a password is not sent without it"


def test_a_certificate_that_nobody_vouches_for_is_refused(
    make_bench: MakeBench, mailing: Mailing, box: Box, context: ssl.SSLContext
) -> None:
    port = mailing.serve(tls_context=context)
    (reason,) = make_bench(mailing.setting(port, trusted=False)).tick(FOUND).failed.values()
    assert (reason, box.mails) == ("the mail server's certificate cannot be trusted", [])


def test_a_wrong_password_is_told_without_it(make_bench: MakeBench, mailing: Mailing, context: ssl.SSLContext) -> None:
    port = mailing.serve(tls_context=context, authenticator=sign_in, auth_required=True)
    bench = make_bench(mailing.setting(port, login=True), MAIL_USER=USER, MAIL_PASSWORD=PASSWORD + "wr0ng")
    told = bench.tick(FOUND)
    assert told.failed == {"mail": "the mail server refused user and password"}
    assert "wr0ng" not in repr(told)


@pytest.mark.parametrize(("answer", "reason"), [("451 later", "451"), ("554 spam", "554")])
def test_a_mail_counts_when_the_server_has_accepted_it(
    make_bench: MakeBench, mailing: Mailing, box: Box, answer: str, reason: str
) -> None:
    bench = make_bench(mailing.setting(mailing.serve()))
    box.answer = answer
    assert bench.tick(FOUND).failed == {"mail": f"the mail server answered {reason}"}
    box.answer = "250 OK"
    assert bench.tick(FOUND, is_patient=False).sent == {"mail": 1}


def test_an_address_that_is_refused_does_not_keep_the_mail_from_the_other(
    make_bench: MakeBench, mailing: Mailing, box: Box
) -> None:
    box.refused = {"b@example.com": "550 no such box"}
    bench = make_bench(mailing.setting(mailing.serve()))
    assert bench.tick(FOUND).sent == {"mail": 1}
    box.refused["a@example.com"] = "550 no such box"
    assert bench.tick(FOUND, problem(Kind.DAEMON_DEAD, "daemon X")).failed == {
        "mail": "the mail server refused every address"
    }
