"""Dagster's UI and daemon as `dataplatform up` starts them, and questions to it as its pages ask them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dataplatform.cli.app import INTERRUPTED
from dataplatform.operations.serve import HOST
from dataplatform.project import Project
from dataplatform.settings import CHECKOUT, Settings
from dataplatform_tests.command import options
from dataplatform_tests.service.dagster.ledger_week import SECONDS

HURRIED = Path(__file__).with_name("hurried")
AUTOMATION = "keep_current,daily_close,monthly_close,daily_checks"
"""What starts or closes things by itself."""
Found = TypeVar("Found")


class Kept(Protocol):
    """A folder in which the command is started, and the settings it is started with."""

    @property
    def folder(self) -> Path: ...

    @property
    def settings(self) -> Settings: ...

    def project(self) -> Project: ...


@dataclass(frozen=True)
class Served:
    """A running UI; `greeting` is all that stood in the terminal once it answered."""

    week: Kept
    port: int
    greeting: str = ""

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of the UI's GraphQL. An error in it fails the test."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - same
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]


def until(what: str, look: Callable[[], Found | None]) -> Found:
    """The first answer of `look` that is not None; fails when there is none in time."""
    pause, deadline = threading.Event(), time.monotonic() + SECONDS
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"{what} did not come about in {SECONDS} seconds"
        pause.wait(0.2)
    return found


def hurried(off: str) -> dict[str, str]:
    """The environment of a daemon in a hurry, without the automation that is named."""
    path = os.pathsep.join([str(HURRIED), str(CHECKOUT)])
    return {**os.environ, "PYTHONPATH": path, "DATAPLATFORM_AUTOMATION_OFF": off}


@contextmanager
def serving(week: Kept, off: str = AUTOMATION) -> Iterator[Served]:
    """`dataplatform up` from start to Ctrl-C, with a daemon in a hurry, and without the automation named in `off`."""
    with started(week, off) as (served, process):
        try:
            yield served
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == INTERRUPTED


@contextmanager
def started(week: Kept, off: str) -> Iterator[tuple[Served, subprocess.Popen[bytes]]]:
    """The same, and its process, which whoever asks for it ends."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    served, said = Served(week, port), week.folder / "up.txt"
    command = [sys.executable, "-c", "from dataplatform.cli import main; main()", *options(week.settings)]
    with (
        said.open("w", encoding="utf-8") as output,
        subprocess.Popen(
            [*command, "up", "--port", str(port)],
            cwd=week.folder,
            env=hurried(off),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            until("the UI", lambda: _answers(served, process, said))
            yield replace(served, greeting=said.read_text(encoding="utf-8")), process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def _answers(served: Served, process: subprocess.Popen[bytes], said: Path) -> bool | None:
    assert process.poll() is None, said.read_text(encoding="utf-8")
    try:
        return bool(served.ask("{ version }"))
    except (urllib.error.URLError, ConnectionError):
        return None
