"""Dagster's UI, daemon and code server in the foreground, on the settings in force, and stopped whole.

The three run in a process group of their own. Dagster's children can outlive a polite signal, so the group is
interrupted, waited for, killed by its id, and then looked for: when `serve` returns, nothing of it is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dataplatform.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from dataplatform.settings import Settings

HOST = "127.0.0.1"
GRACE_SECONDS = 20.0
"""How long an interrupted Dagster may take to end its own children before the group is killed."""
_GONE_SECONDS = 10.0
_PAUSE = 0.1


def serve(settings: Settings, port: int, command: list[str] | None = None) -> None:
    """Runs until it is interrupted (KeyboardInterrupt, also for SIGTERM and SIGHUP), then stops everything.

    `command` is what is started, Dagster's own by default. Raises TransientError when the services end by themselves.
    """
    with _signals_interrupt():  # before the start: what this process handles, its children do not ignore
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command or dagster_command(port),
            cwd=settings.dagster_home,  # Dagster lets a .env of the working folder override the environment
            env={**os.environ, **environment(settings)},
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            stop_group(process)
    raise TransientError(f"Dagster ended by itself with code {code}; its messages above say why")


def forget_daemons(settings: Settings) -> None:
    """Takes back the daemons' signs of life: they were stopped on purpose, and nobody is to be told that they died."""
    from dataplatform.operations.instance import open_instance

    with open_instance(settings) as instance:
        instance.wipe_daemon_heartbeats()


def dagster_command(port: int) -> list[str]:
    """`dagster dev` on the workspace file of the instance's folder: UI, daemon and code server.

    Its advice to use `dg dev` is silenced: that needs the checkout as working folder, whose `.env` would win.
    """
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    options = ["--host", HOST, "--port", str(port), "--workspace", "workspace.yaml", "--log-level", "warning"]
    return [sys.executable, *quiet, "-m", "dagster", "dev", *options]


def environment(settings: Settings) -> dict[str, str]:
    """The settings in force as environment variables, for processes that read them anew."""
    from dataplatform.settings import CHECKOUT, PREFIX

    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    variables = {f"{PREFIX}{name.upper()}": "" if value is None else str(value) for name, value in values.items()}
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
    return {**variables, "DAGSTER_HOME": str(settings.dagster_home), "PYTHONPATH": path}


def refuse_taken(port: int) -> None:
    """Raises PermanentError when nothing can listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:  # overflow: no port has such a number
            reason = getattr(error, "strerror", None) or str(error).removeprefix("bind(): ")
            raise PermanentError(f"port {port} cannot be used: {reason}; choose another with --port") from error


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """A closed terminal or a supervisor's stop ends things as Ctrl-C does; that too where a shell had it ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_group(process: subprocess.Popen[bytes], grace: float = GRACE_SECONDS) -> None:
    """Ends every process of the group that `process` leads; TransientError names those that could not be ended."""
    group = process.pid
    try:
        _signal(group, signal.SIGINT)
        _wait_until_gone(process, grace)
    except KeyboardInterrupt:  # a second Ctrl-C: no more patience
        pass
    _signal(group, signal.SIGKILL)
    left = _wait_until_gone(process, _GONE_SECONDS)
    if left:
        raise TransientError(f"processes {', '.join(map(str, left))} could not be ended; end them by hand")


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _wait_until_gone(process: subprocess.Popen[bytes], seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while True:
        process.poll()  # collects the leader, which else stays in the group as a dead entry
        left = alive(process.pid)
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_PAUSE)


def alive(group: int) -> list[int]:
    """The processes of a group that still run. Dead ones that nobody has collected yet do not count."""
    processes = Path("/proc")
    if not (processes / "self" / "stat").exists():  # macOS: only whether there is any
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return []
        return [group]
    found = []
    for entry in processes.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            state, _parent, its_group = entry.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(entry.parent.name))
    return sorted(found)
