"""Services in the foreground, stopped whole."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dataplatform.errors import PermanentError, TransientError
from dataplatform.operations import serve
from dataplatform.settings import CHECKOUT, Settings

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
child.wait()
"""
_POLITE = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
_STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
    "print(os.getpid(), flush=True); [time.sleep(600) for _ in range(9)]"
)
_SERVE = """
import sys
from dataplatform.operations.serve import serve
from dataplatform.settings import Settings
settings = Settings.load(data_dir=sys.argv[1])
settings.dagster_home.mkdir(parents=True)
serve(settings, int(sys.argv[2]), [sys.executable, "-c", *sys.argv[3:]])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((serve.HOST, 0))
        return int(probe.getsockname()[1])


def family(child: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process that leads a group, and its child's pid."""
    leader = subprocess.Popen([sys.executable, "-c", _PARENT, child], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    return leader, int(leader.stdout.readline())


def test_a_polite_group_ends_when_it_is_interrupted() -> None:
    leader, child = family(_POLITE)
    assert serve.alive(leader.pid) == sorted([leader.pid, child])
    with leader:
        serve.stop_group(leader)
    assert serve.alive(leader.pid) == []


def test_a_child_that_ignores_signals_is_killed() -> None:
    leader, _ = family(_STUBBORN)
    with leader:
        serve.stop_group(leader, grace=0.2)
    assert serve.alive(leader.pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serving_ends_whole_on(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _SERVE, str(tmp_path), str(free_port()), _PARENT, _POLITE]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        group = os.getpgid(child)
        assert serve.alive(group)
        process.send_signal(number)
        _, errors = process.communicate()
    assert b"KeyboardInterrupt" in errors
    assert serve.alive(group) == []


def test_services_that_end_by_themselves_are_an_error(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    settings.dagster_home.mkdir()
    with pytest.raises(TransientError, match="Dagster ended by itself with code 3"):
        serve.serve(settings, free_port(), [sys.executable, "-c", "raise SystemExit(3)"])


def test_a_taken_port_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind((serve.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PermanentError, match=f"port {port} cannot be used: Address already in use; choose another"):
            serve.refuse_taken(port)


def test_a_number_that_is_no_port_is_refused() -> None:
    with pytest.raises(PermanentError, match="port 99999 cannot be used: port must be 0-65535"):
        serve.refuse_taken(99999)


def test_services_read_the_settings_in_force_from_their_environment(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, start_date=date(2011, 1, 1), end_date="", memory_limit="2GB")
    variables = serve.environment(settings)
    assert variables["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert variables["DATAPLATFORM_START_DATE"] == "2011-01-01"
    assert variables["DATAPLATFORM_END_DATE"] == ""
    assert variables["DATAPLATFORM_MEMORY_LIMIT"] == "2GB"


def test_settings_survive_the_way_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(data_dir=tmp_path, end_date="", business_zone="UTC")
    for name, value in serve.environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings.load().model_dump() == settings.model_dump()
