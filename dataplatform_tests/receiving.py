"""Receivers of alerts as tests need them: a real HTTP server that behaves as it is told, and a real mail server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from dataplatform.settings import Settings

Behaviour = Callable[["_Handler"], None]
"""Answers one request whose body has been read."""


@dataclass
class Request:
    """One request as it arrived."""

    headers: Mapping[str, str]
    body: bytes
    path: str

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class HttpReceiver:
    """A running server: what it got, and how it behaves."""

    url: str
    behaviour: Behaviour
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [request.message for request in self.requests]

    def told(self, *fields: str) -> list[tuple[Any, ...]]:
        """Some fields of every message, in the order in which they arrived."""
        return [tuple(message.get(name) for name in fields) for message in self.messages]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: HttpReceiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Reads the whole request, notes it, then behaves."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.receiver.requests.append(Request(dict(self.headers), body, self.path))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may have given up
            self.server.receiver.behaviour(self)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def accepts(handler: _Handler) -> None:
    handler.answer(200)


def answers(status: int, **headers: str) -> Behaviour:
    return lambda handler: handler.answer(status, **headers)


def hangs(handler: _Handler) -> None:
    """Takes the request and says nothing, until the test is over."""
    handler.server.receiver.released.wait(60)
    handler.close_connection = True


def drips(handler: _Handler) -> None:
    """Sends a header's byte now and then, so that no single read ever waits for long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.server.receiver.released.wait(0.2):
        handler.wfile.write(b"a")
        handler.wfile.flush()
    handler.close_connection = True


def drops(handler: _Handler) -> None:
    """Closes the connection without an answer."""
    handler.close_connection = True


@contextmanager
def http_receiver(behaviour: Behaviour = accepts) -> Iterator[HttpReceiver]:
    """A server on this machine, stopped at the end."""
    server = _Server(("127.0.0.1", 0), _Handler)
    receiver = server.receiver = HttpReceiver(
        f"http://127.0.0.1:{server.server_port}/services/T0/B0/path-that-is-a-secret", behaviour
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def set_receivers(settings: Settings, text: str) -> Settings:
    """The same settings with a file of receivers, written from `text`."""
    path = settings.data_dir.parent / "alerts.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    return settings.model_copy(update={"alerts": path})
