"""Runs of the command in processes of their own, which tests stop and kill at any moment.

They are forked from one process that has imported everything, so that each begins its work at once: a process that
is started from nothing spends most of its life importing, and would be killed there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from dataplatform.settings import Settings
from dataplatform_tests.command import options

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "dataplatform.build",
        "dataplatform.cli.running",
        "dataplatform.cli.progress",
        "dataplatform.cli.quarantine",
        "dataplatform.engines.binding",
        "dataplatform.operations.instance",
        "dataplatform.operations.run",
        "dataplatform.operations.summary",
        "dataplatform.reports.sales",
        "dataplatform_tests.small_shop",
        "dataplatform_tests.victims",
        "deltalake",
        "ibis.backends.duckdb",
    ]
)
PATIENCE = 120.0


class Victim:
    """A function at work in a process of its own. `output` is where it prints, and its working folder."""

    def __init__(self, work: Callable[..., None], arguments: Sequence[Any], output: Path) -> None:
        self.output = output
        self._process: ForkServerProcess = _CONTEXT.Process(target=_work, args=(work, arguments, output), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """The exit code once it has ended (negative: the signal that ended it), or None after so many seconds."""
        self._process.join(seconds)
        return self._process.exitcode

    def ends(self) -> int:
        """Its exit code; an error with what it printed when it does not end."""
        code = self.wait()
        if code is None:
            self.kill()
            raise AssertionError(f"still at work after {PATIENCE} s: {self.printed}")
        return code

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def pause(self) -> bool:
        """Stops it where it is; whether it was still at work. One that had ended gives its exit code soon after."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)
        return self.wait(0.5) is None

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8") if self.output.exists() else ""


def start(settings: Settings, *arguments: str, output: Path) -> Victim:
    """Starts the `dataplatform` command."""
    return Victim(_command, [*options(settings), *arguments], output)


def settle(settings: Settings, output: Path) -> Victim:
    """Starts making what is stale without the command's lock and without Dagster, as another way in would."""
    return Victim(_settle, [settings], output)


def kill_after(settings: Settings, seconds: float, *arguments: str, output: Path) -> bool:
    """Starts the command and kills it after so many seconds; whether it was still at work then."""
    victim = start(settings, *arguments, output=output)
    if victim.wait(seconds) is not None:
        return False
    victim.kill()
    return victim.wait() == -signal.SIGKILL


def seconds_of(settings: Settings, *arguments: str, output: Path) -> float:
    """How long the command takes undisturbed, from the start of its process to the end."""
    started = time.perf_counter()
    victim = start(settings, *arguments, output=output)
    code = victim.ends()
    assert code == 0, victim.printed
    return time.perf_counter() - started


def _work(work: Callable[..., None], arguments: Sequence[Any], output: Path) -> None:
    with output.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(output.parent)
    work(*arguments)


def _command(*arguments: str) -> None:
    from dataplatform.cli import main

    main(arguments)


def _settle(settings: Settings) -> None:
    from dataplatform.project import Project
    from dataplatform_tests.shop import settle

    settle(Project.load(settings))
