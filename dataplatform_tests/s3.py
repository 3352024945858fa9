"""A real S3 server on this machine for tests, and a gate in front of it that counts what is asked and can be shut."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from dataplatform.settings import S3Prefix, Settings
from dataplatform.sources.s3 import open_store
from dataplatform_tests.services import require

KEY, SECRET = "AKIATESTKEYFORTESTS1", "a-secret-that-nobody-may-ever-see"
BUCKET = "deliveries"
HOST = "127.0.0.1"
_PATIENCE = 20.0


class Server:
    """versitygw over a folder. `stop` and `start` keep its port, its buckets and what is in them."""

    def __init__(self, folder: Path) -> None:
        self._program, self._folder = require("versitygw"), folder
        (folder / BUCKET).mkdir(parents=True)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-q", "-p", f"{HOST}:{self.port}", "posix", self._folder],
            env={**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            assert self._process.poll() is None, "the S3 server did not start"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Gate:
    """Passes connections on to a port. `asked` are the request lines that came, each once, also while it is shut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.mode: Literal["open", "shut", "silent"] = "open"
        """`silent` takes a request and never answers; `shut` hangs up."""
        self.asked: list[str] = []
        self.shut_after = -1
        """How many requests are still let through before it shuts by itself; any number when negative."""
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def count(self, method: str = "") -> int:
        return sum(line.startswith(method) for line in self.asked)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = client.recv(65536)
            if not head:
                return
            self.asked.append(head.split(b" HTTP/", 1)[0].decode())
            if self.shut_after == 0:
                self.mode = "shut"
            self.shut_after -= 1
            if self.mode == "silent":
                client.recv(1)  # nothing more comes: until the client gives up
            if self.mode != "open":
                return
            with socket.create_connection((HOST, self._to)) as server:
                server.sendall(head)
                threading.Thread(target=_pump, args=(client, server), daemon=True).start()
                _pump(server, client)  # the server ends a connection after each answer, and so does this


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


class Bucket:
    """A server with a gate before it, and the settings that lead through the gate."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self.server, self.gate = server, gate

    @property
    def settings(self) -> dict[str, str]:
        return {"landing": f"s3://{BUCKET}/landing", "s3_endpoint": f"http://{HOST}:{self.gate.port}"}

    @property
    def _store(self) -> Any:
        behind = Settings.load(s3_endpoint=f"http://{HOST}:{self.server.port}")
        return open_store(S3Prefix(BUCKET, "landing"), behind)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Puts objects below the landing's prefix, past the gate."""
        import obstore

        for name, data in files.items():
            obstore.put(self._store, name, data)

    def delete(self, *names: str) -> None:
        import obstore

        obstore.delete(self._store, list(names))


@contextmanager
def running_bucket(folder: Path) -> Iterator[Bucket]:
    """A server over `folder` for as long as the context lasts, with its credentials in AWS's variables."""
    server = Server(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        server.start()
        gate = Gate(server.port)
        try:
            yield Bucket(server, gate)
        finally:
            gate.close()
            server.stop()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
