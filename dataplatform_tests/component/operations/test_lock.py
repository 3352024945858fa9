"""One run per data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataplatform.errors import PermanentError
from dataplatform.operations.lock import LockedError, run_lock
from dataplatform.settings import CHECKOUT

_HOLD = """
import sys
from pathlib import Path
from dataplatform.operations.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input is closed or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_run_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder, pytest.raises(LockedError) as refusal, run_lock(tmp_path):
        raise AssertionError
    assert str(refusal.value) == (f"process {holder.pid} is at work in {tmp_path}; wait for it with --wait SECONDS")
    assert refusal.value.exit_code == 75


def test_a_second_run_waits_until_the_first_ends(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        pauses = []

        def first_ends(seconds: float) -> None:
            pauses.append(seconds)
            holder.communicate("")

        with run_lock(tmp_path, wait=60, pause=first_ends):
            assert pauses
            assert (tmp_path / "run.lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_waiting_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with (
        another_process(tmp_path),
        pytest.raises(LockedError, match=r"even after 0\.01 s$"),
        run_lock(tmp_path, wait=0.01),
    ):
        raise AssertionError


def test_a_killed_holder_leaves_nothing_locked(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with run_lock(tmp_path):
        pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        raise ZeroDivisionError
    with run_lock(tmp_path):
        pass


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    with pytest.raises(PermanentError, match=r"cannot write in the data folder .*file/data: Not a directory; choose"):
        run_lock(folder).__enter__()
